"""Ticks of the collector, with sources that answer, hang, fail and start anew."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from engine.serving.protocol import ShardMetrics
from tests.support.finished import define_request
from tests.support.telemetry import at
from webapp.deployments.access import AgentAccess
from webapp.telemetry.errors import CursorMovedError
from webapp.telemetry.points import DeploymentPoint
from webapp.telemetry.selectors import Cursor, WatchedDeployment
from webapp.telemetry.services import CursorMove, DeploymentTick
from workers.collecting import collector as collector_module
from workers.collecting.agent_source import AgentSilentError
from workers.collecting.collector import Collector
from workers.collecting.gateway_source import GatewayReading, GatewayUnreachableError
from workers.collecting.requests import FinishedRequest
from workers.collecting.store import Scene

_URL = "http://gateway"
_DEMO = WatchedDeployment(id=1, name="demo")


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "_PATIENCE_S", 0.02)


class FakeGateway:
    """A gateway process with its requests; `None` as instance means that it is down."""

    def __init__(self) -> None:
        self.instance: str | None = "a"
        self.requests: list[FinishedRequest] = []
        self.in_flight: dict[str, int] = {}
        self.asked: list[int] = []
        self.gate: asyncio.Event | None = None

    async def fetch(self, *, instance: str, since: int) -> GatewayReading:
        self.asked.append(since)
        if self.gate is not None:
            await self.gate.wait()
        if self.instance is None:
            raise GatewayUnreachableError("gateway does not answer")
        start = since if instance == self.instance else 1
        found = tuple(request for request in self.requests if request.seq >= start)
        next_seq = self.requests[-1].seq + 1 if self.requests else 1
        return GatewayReading(instance=self.instance, requests=found, in_flight=dict(self.in_flight), next_seq=next_seq)


class FakeAgent:
    """A node agent with one shard; every answer is two seconds and forty tokens later."""

    def __init__(self) -> None:
        self.num_answers = 0
        self.is_down = False
        self.gate: asyncio.Event | None = None

    async def fetch(self) -> list[ShardMetrics]:
        if self.gate is not None:
            await self.gate.wait()
        if self.is_down:
            raise AgentSilentError("agent does not answer")
        self.num_answers += 1
        return [
            ShardMetrics(
                shard_id="s1",
                num_running=2,
                num_waiting=0,
                kv_cache_usage_ratio=0.5,
                prompt_tokens_total=0,
                generation_tokens_total=40 * self.num_answers,
                num_preemptions_total=0,
                observed_at=at(2.0 * self.num_answers),
            )
        ]


@dataclass
class FakeStore:
    """Keeps what is recorded, with the guard of the real one."""

    scene: Scene
    cursor: Cursor = field(default_factory=lambda: Cursor(instance="", next_seq=0, sampled_at=None))
    ticks: list[DeploymentTick] = field(default_factory=list)
    error: Exception | None = None

    async def read_scene(self) -> Scene:
        return self.scene

    async def read_cursor(self, gateway_url: str) -> Cursor:
        assert gateway_url == _URL
        return self.cursor

    async def record(self, ticks: Sequence[DeploymentTick], move: CursorMove | None, now: datetime) -> None:
        if self.error is not None:
            raise self.error
        if move is not None:
            if (move.from_instance, move.from_seq) != (self.cursor.instance, self.cursor.next_seq):
                raise CursorMovedError("another collector reads it")
            self.cursor = Cursor(instance=move.instance, next_seq=move.next_seq, sampled_at=move.sampled_at)
        self.ticks.extend(ticks)

    @property
    def points(self) -> list[DeploymentPoint]:
        return [point for tick in self.ticks for point in tick.points]

    @property
    def num_counted(self) -> int:
        return sum(point.num_requests for point in self.points)


def _define_access(machine_id: int = 1, url: str = "https://agent") -> AgentAccess:
    return AgentAccess(
        machine_id=machine_id, deployment_id=1, deployment_name="demo", url=url, cert_pem="", token="secret"
    )


@dataclass
class World:
    """A collector with everything it talks to."""

    gateway: FakeGateway
    store: FakeStore
    agents: dict[AgentAccess, FakeAgent]
    collector: Collector

    def restart_collector(self) -> None:
        self.collector.close()
        self.collector = _make_collector(self.gateway, self.store, self.agents)


def _make_collector(gateway: FakeGateway, store: FakeStore, agents: dict[AgentAccess, FakeAgent]) -> Collector:
    return Collector(store=store, gateway=gateway, gateway_url=_URL, connect_agent=agents.__getitem__)


@pytest.fixture
def world() -> World:
    """One deployment, one gateway, one agent."""
    gateway = FakeGateway()
    agents = {_define_access(): FakeAgent()}
    store = FakeStore(scene=Scene(deployments=(_DEMO,), agents=tuple(agents)))
    return World(gateway, store, agents, _make_collector(gateway, store, agents))


class TestCollect:
    """A tick..."""

    async def test_counts_what_finished_and_moves_the_cursor(self, world: World) -> None:
        world.gateway.requests = [define_request(1, 0.5), define_request(2, 1.5), define_request(3, 2.04)]
        world.gateway.in_flight = {"demo": 4}
        await world.collector.collect(at(2))
        [point] = world.store.points
        assert (point.sampled_at, point.num_requests, point.in_flight) == (at(2), 2, 4)
        assert world.store.cursor == Cursor(instance="a", next_seq=3, sampled_at=at(2))
        await world.collector.collect(at(4))
        assert [point.num_requests for point in world.store.points] == [2, 1]
        assert world.gateway.asked == [1, 3]

    async def test_gives_rates_over_ten_seconds(self, world: World) -> None:
        world.gateway.requests = [define_request(number, 2.0 * number) for number in range(1, 4)]
        for tick in (2, 4, 6):
            await world.collector.collect(at(tick))
        assert [tick.rates.requests_per_s for tick in world.store.ticks] == [0.1, 0.2, 0.3]

    async def test_writes_idle_intervals_too(self, world: World) -> None:
        await world.collector.collect(at(2))
        await world.collector.collect(at(4))
        assert [(point.sampled_at, point.num_requests) for point in world.store.points] == [(at(2), 0), (at(4), 0)]
        assert world.store.cursor.next_seq == 1

    async def test_adds_the_shards(self, world: World) -> None:
        for tick in (2, 4, 6):
            await world.collector.collect(at(tick))
        rates = [[shard.output_tokens_per_s for shard in tick.shards] for tick in world.store.ticks]
        assert rates == [[], [20.0], [20.0]]

    async def test_keeps_deployments_apart(self, world: World) -> None:
        other = WatchedDeployment(id=2, name="other")
        world.store.scene = Scene(deployments=(_DEMO, other), agents=())
        world.gateway.requests = [define_request(1, 0.5), define_request(2, 0.6, deployment="other")]
        world.gateway.requests.append(define_request(3, 0.7, deployment="gone"))
        await world.collector.collect(at(2))
        assert [(tick.deployment_name, tick.points[0].num_requests) for tick in world.store.ticks] == [
            ("demo", 1),
            ("other", 1),
        ]
        assert world.store.cursor.next_seq == 4


class TestGatewayTrouble:
    """A gateway..."""

    async def test_that_is_down_does_not_hold_up_shards(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.gateway.instance = None
        with caplog.at_level(logging.INFO):
            for tick in (2, 4, 6):
                await world.collector.collect(at(tick))
        assert world.store.points == []
        assert [len(tick.shards) for tick in world.store.ticks] == [1, 1]
        assert world.store.cursor.instance == ""
        assert caplog.text.count("does not answer") == 1

    async def test_that_was_away_is_counted_afterwards(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        await world.collector.collect(at(2))
        world.gateway.instance = None
        await world.collector.collect(at(4))
        world.gateway.instance = "a"
        world.gateway.requests = [define_request(1, 3.0), define_request(2, 5.0)]
        with caplog.at_level(logging.INFO):
            await world.collector.collect(at(6))
        assert [(point.sampled_at, point.num_requests) for point in world.store.points] == [
            (at(2), 0),
            (at(4), 1),
            (at(6), 1),
        ]
        assert "answers again" in caplog.text

    async def test_that_hangs_is_not_waited_for(self, world: World) -> None:
        world.gateway.gate = asyncio.Event()
        world.gateway.requests = [define_request(1, 1.0)]
        for tick in (2, 4, 6):
            await world.collector.collect(at(tick))
        assert len(world.gateway.asked) == 1
        assert [len(tick.shards) for tick in world.store.ticks] == [1, 1]
        world.gateway.gate.set()
        await world.collector.collect(at(8))
        assert world.store.num_counted == 1
        world.gateway.gate = None
        await world.collector.collect(at(10))
        assert world.store.num_counted == 1

    async def test_that_starts_anew_is_counted_from_its_first_request(self, world: World) -> None:
        world.gateway.requests = [define_request(number, 0.1 * number) for number in range(1, 6)]
        await world.collector.collect(at(2))
        world.gateway.instance = "b"
        world.gateway.requests = [define_request(1, 2.5), define_request(2, 3.0)]
        await world.collector.collect(at(4))
        assert [point.num_requests for point in world.store.points] == [5, 2]
        assert world.store.cursor == Cursor(instance="b", next_seq=3, sampled_at=at(4))
        assert world.store.points[1].latencies.ttft_p50_s == 0.1

    async def test_that_forgot_requests_is_told_about(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.gateway.requests = [define_request(1, 0.5)]
        await world.collector.collect(at(2))
        world.gateway.requests = [define_request(11, 3.0)]
        await world.collector.collect(at(4))
        assert "forgot 9 requests" in caplog.text
        assert world.store.num_counted == 2


class TestCollectorRestart:
    """A collector that starts again..."""

    async def test_counts_nothing_twice_and_nothing_never(self, world: World) -> None:
        world.gateway.requests = [define_request(1, 0.5), define_request(2, 1.0)]
        await world.collector.collect(at(2))
        world.restart_collector()
        world.gateway.requests += [define_request(3, 4.5), define_request(4, 7.5)]
        await world.collector.collect(at(8))
        assert [(point.sampled_at, point.num_requests) for point in world.store.points] == [
            (at(2), 2),
            (at(6), 1),
            (at(8), 1),
        ]

    async def test_remembers_recent_latencies(self, world: World) -> None:
        world.gateway.requests = [define_request(1, 0.5, ttft_s=7.0)]
        await world.collector.collect(at(2))
        world.restart_collector()
        await world.collector.collect(at(4))
        assert world.store.points[-1].latencies.ttft_p50_s == 7.0
        assert world.store.points[-1].num_requests == 0

    async def test_gives_way_to_another_collector(self, world: World) -> None:
        world.gateway.requests = [define_request(1, 0.5)]
        await world.collector.collect(at(2))
        other = _make_collector(world.gateway, world.store, world.agents)
        world.gateway.requests.append(define_request(2, 3.0))
        await other.collect(at(4))
        await world.collector.collect(at(4))
        await world.collector.collect(at(6))
        assert world.store.num_counted == 2
        other.close()


class TestStoreTrouble:
    """A store that fails..."""

    async def test_loses_no_request(self, world: World) -> None:
        world.gateway.requests = [define_request(1, 0.5)]
        world.store.error = ConnectionError("database is away")
        with pytest.raises(ConnectionError):
            await world.collector.collect(at(2))
        world.store.error = None
        await world.collector.collect(at(4))
        assert world.store.num_counted == 1


class TestAgents:
    """An agent..."""

    async def test_that_hangs_does_not_hold_up_the_others(self, world: World) -> None:
        slow = _define_access(2, "https://slow")
        world.agents[slow] = FakeAgent()
        world.agents[slow].gate = asyncio.Event()
        world.store.scene = Scene(deployments=(_DEMO,), agents=tuple(world.agents))
        for tick in (2, 4):
            await world.collector.collect(at(tick))
        assert [len(tick.shards) for tick in world.store.ticks] == [0, 1]
        assert len(world.store.points) == 2
        world.collector.close()

    async def test_that_is_down_is_told_about_once(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.agents[_define_access()].is_down = True
        for tick in (2, 4, 6):
            await world.collector.collect(at(tick))
        assert caplog.text.count("agent does not answer") == 1
        assert len(world.store.points) == 3

    async def test_that_comes_and_goes_is_followed(self, world: World) -> None:
        world.store.scene = Scene(deployments=(_DEMO,), agents=())
        await world.collector.collect(at(2))
        assert world.agents[_define_access()].num_answers == 0
        world.store.scene = Scene(deployments=(_DEMO,), agents=(_define_access(),))
        await world.collector.collect(at(4))
        assert world.agents[_define_access()].num_answers == 1
        world.store.scene = Scene(deployments=(_DEMO,), agents=())
        await world.collector.collect(at(6))
        assert world.agents[_define_access()].num_answers == 1

    async def test_whose_secret_cannot_be_read_is_told_about(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.store.scene = Scene(deployments=(_DEMO,), agents=(), agents_problem="SECRET_KEY has changed")
        await world.collector.collect(at(2))
        await world.collector.collect(at(4))
        assert caplog.text.count("SECRET_KEY has changed") == 1
        assert len(world.store.points) == 2
