"""One tick of the collector: what every source had ready, measured, written and told to browsers.

Sources are asked at the beginning of a tick and get a moment to answer. One that is slower is not waited for: its
answer counts at the tick that finds it. So a gateway or agent that hangs never delays the others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from engine.errors import UnavailableError
from engine.serving.protocol import ShardMetrics
from webapp.deployments.access import AgentAccess
from webapp.telemetry.errors import CursorMovedError
from webapp.telemetry.points import ShardPoint
from webapp.telemetry.selectors import Cursor, WatchedDeployment
from webapp.telemetry.services import CursorMove, DeploymentTick
from workers.collecting import requests, shards
from workers.collecting.gateway_source import GatewayReading
from workers.collecting.requests import FinishedRequest
from workers.collecting.store import Scene, Store

logger: Final = logging.getLogger(__name__)
T = TypeVar("T")
_PATIENCE_S: Final = 0.5  # answers from memory take milliseconds
_WARM_UP: Final = 2_000  # requests read again after a start, so that percentiles do not begin from nothing


class Gateway(Protocol):
    """See `GatewaySource`."""

    async def fetch(self, *, instance: str, since: int) -> GatewayReading:
        """Return the requests numbered `since` and up."""
        ...


class Agent(Protocol):
    """See `AgentSource`."""

    async def fetch(self) -> list[ShardMetrics]:
        """Return the shards' figures."""
        ...


@dataclass(slots=True)
class Call(Generic[T]):
    """A source's running question and its voice in the log: silence is told once, and its end."""

    name: str
    task: asyncio.Task[T] | None = None
    is_silent: bool = False

    def start(self, ask: Callable[[], Awaitable[T]]) -> None:
        """Ask, unless the previous question is still open."""
        if self.task is None:
            self.task = asyncio.ensure_future(_as_coroutine(ask))

    def take(self) -> T | None:
        """Return the answer when there is one; the source can then be asked again."""
        if self.task is None or not self.task.done():
            return None
        task, self.task = self.task, None
        try:
            answer = task.result()
        except UnavailableError as error:
            self._tell(error.message)
            return None
        self._tell("")
        return answer

    def _tell(self, problem: str) -> None:
        if problem and not self.is_silent:
            logger.warning("%s: %s", self.name, problem)
        if not problem and self.is_silent:
            logger.info("%s answers again", self.name)
        self.is_silent = bool(problem)

    def cancel(self) -> None:
        """Drop the question."""
        if self.task is not None:
            self.task.cancel()
            self.task = None


async def _as_coroutine(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()


@dataclass(slots=True)
class _AgentState:
    agent: Agent
    call: Call[list[ShardMetrics]]
    latest: Mapping[str, ShardMetrics] = field(default_factory=dict)


class Collector:
    """Watches one gateway and every node agent."""

    def __init__(
        self, *, store: Store, gateway: Gateway, gateway_url: str, connect_agent: Callable[[AgentAccess], Agent]
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._gateway_url = gateway_url
        self._connect_agent = connect_agent
        self._call: Call[GatewayReading] = Call(name=f"gateway {gateway_url}")
        self._agents: dict[AgentAccess, _AgentState] = {}
        self._cursor: Cursor | None = None  # None: read it from the store
        self._is_warm = False  # whether `_recent` holds what percentiles look back at
        self._recent: list[FinishedRequest] = []
        self._agents_problem = ""

    async def collect(self, tick: datetime) -> None:
        """Close the interval that ends at `tick`.

        Raises:
            django.db.DatabaseError: the store failed; nothing of this tick is kept.
        """
        scene = await self._store.read_scene()
        self._follow_agents(scene)
        cursor = await self._get_cursor()
        await self._ask(cursor)
        shard_points = self._take_shard_points(tick)
        reading = self._call.take()
        if reading is None:
            await self._record(_join_ticks(scene.deployments, shard_points), None, tick)
        else:
            await self._count(scene, reading, cursor, shard_points, tick)

    def close(self) -> None:
        """Drop open questions."""
        self._call.cancel()
        for state in self._agents.values():
            state.call.cancel()

    async def _get_cursor(self) -> Cursor:
        if self._cursor is None:
            self._cursor = await self._store.read_cursor(self._gateway_url)
            self._is_warm, self._recent = False, []
        return self._cursor

    def _follow_agents(self, scene: Scene) -> None:
        if scene.agents_problem != self._agents_problem:
            self._agents_problem = scene.agents_problem
            logger.warning("agents: %s", scene.agents_problem or "well again")
        for access in set(self._agents) - set(scene.agents):
            self._agents.pop(access).call.cancel()
        for access in scene.agents:
            if access not in self._agents:
                name = f"agent of {access.deployment_name} at {access.url}"
                self._agents[access] = _AgentState(agent=self._connect_agent(access), call=Call(name=name))

    async def _ask(self, cursor: Cursor) -> None:
        since = max(1, cursor.next_seq if self._is_warm else cursor.next_seq - _WARM_UP)
        self._call.start(lambda: self._gateway.fetch(instance=cursor.instance, since=since))
        for state in self._agents.values():
            state.call.start(state.agent.fetch)
        calls = [self._call.task, *(state.call.task for state in self._agents.values())]
        await asyncio.wait([task for task in calls if task is not None], timeout=_PATIENCE_S)

    def _take_shard_points(self, tick: datetime) -> dict[int, list[ShardPoint]]:
        points: dict[int, list[ShardPoint]] = {}
        for access, state in self._agents.items():
            found = state.call.take()
            if found is None:
                continue
            built = shards.build_shard_points(state.latest, found, sampled_at=tick)
            points.setdefault(access.deployment_id, []).extend(built)
            state.latest = {metrics.shard_id: metrics for metrics in found}
        return points

    async def _count(
        self,
        scene: Scene,
        reading: GatewayReading,
        cursor: Cursor,
        shard_points: Mapping[int, Sequence[ShardPoint]],
        tick: datetime,
    ) -> None:
        """Count the requests that are due, and move the cursor behind them."""
        first_seq = cursor.next_seq if reading.instance == cursor.instance else 1
        known = [request for request in reading.requests if request.seq < first_seq]
        fresh = [request for request in reading.requests if request.seq >= first_seq]
        self._tell_lost(fresh, first_seq)
        due = requests.take_due(fresh, until=tick)
        earlier = [*self._recent, *known]
        ticks = [
            _count_deployment(row, reading, due, earlier, cursor.sampled_at, shard_points.get(row.id, ()), tick)
            for row in scene.deployments
        ]
        next_seq = due[-1].seq + 1 if due else (fresh[0].seq if fresh else reading.next_seq)
        move = CursorMove(
            gateway_url=self._gateway_url,
            from_instance=cursor.instance,
            from_seq=cursor.next_seq,
            instance=reading.instance,
            next_seq=next_seq,
            sampled_at=tick,
        )
        if await self._record(ticks, move, tick):
            self._cursor = Cursor(instance=reading.instance, next_seq=next_seq, sampled_at=tick)
            self._is_warm, self._recent = True, requests.keep_recent([*earlier, *due], until=tick)

    def _tell_lost(self, fresh: Sequence[FinishedRequest], first_seq: int) -> None:
        num_lost = fresh[0].seq - first_seq if fresh else 0
        if num_lost > 0:
            logger.warning("gateway %s forgot %d requests before they were counted", self._gateway_url, num_lost)

    async def _record(self, ticks: Sequence[DeploymentTick], move: CursorMove | None, now: datetime) -> bool:
        try:
            await self._store.record(ticks, move, now)
        except CursorMovedError as error:
            logger.warning("%s", error.message)
            self._cursor = None
            return False
        return True


def _join_ticks(
    deployments: Sequence[WatchedDeployment], shard_points: Mapping[int, Sequence[ShardPoint]]
) -> list[DeploymentTick]:
    """Return the ticks of deployments whose shards answered, without a gateway."""
    return [
        DeploymentTick(
            deployment_id=row.id,
            deployment_name=row.name,
            points=(),
            rates=requests.NO_RATES,
            shards=tuple(shard_points[row.id]),
        )
        for row in deployments
        if shard_points.get(row.id)
    ]


def _count_deployment(
    row: WatchedDeployment,
    reading: GatewayReading,
    due: Sequence[FinishedRequest],
    earlier: Sequence[FinishedRequest],
    after: datetime | None,
    shard_points: Sequence[ShardPoint],
    tick: datetime,
) -> DeploymentTick:
    mine = requests.select_served(due, deployment_name=row.name)
    before = requests.select_served(earlier, deployment_name=row.name)
    points = requests.build_points(
        mine, earlier=before, after=after, until=tick, in_flight=reading.in_flight.get(row.name, 0)
    )
    rates = requests.compute_rates([*before, *mine], until=tick)
    return DeploymentTick(
        deployment_id=row.id, deployment_name=row.name, points=points, rates=rates, shards=tuple(shard_points)
    )
