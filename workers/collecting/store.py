"""What the collector reads from and writes to the database, from its event loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from engine.errors import EngineError
from webapp.deployments.access import AgentAccess, list_agents
from webapp.telemetry import selectors, services
from webapp.telemetry.selectors import Cursor, WatchedDeployment
from webapp.telemetry.services import CursorMove, DeploymentTick

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is to be watched at one tick.

    Attributes:
        agents_problem: why agents are missing; empty when all is well.
    """

    deployments: tuple[WatchedDeployment, ...]
    agents: tuple[AgentAccess, ...]
    agents_problem: str = ""


class Store(Protocol):
    """The collector's memory; it may raise Django's database errors."""

    async def read_scene(self) -> Scene:
        """Return what is to be watched."""
        ...

    async def read_cursor(self, gateway_url: str) -> Cursor:
        """Return how far a gateway was counted."""
        ...

    async def record(self, ticks: Sequence[DeploymentTick], move: CursorMove | None, now: datetime) -> None:
        """Write one tick; raises `CursorMovedError` when another collector was faster."""
        ...


class DatabaseStore:
    """The console's database; calls run one after the other in a thread."""

    async def read_scene(self) -> Scene:
        """Return the deployments and agents of the database."""
        return await _call(_read_scene)

    async def read_cursor(self, gateway_url: str) -> Cursor:
        """Return the stored cursor."""
        return await _call(lambda: selectors.get_cursor(gateway_url=gateway_url))

    async def record(self, ticks: Sequence[DeploymentTick], move: CursorMove | None, now: datetime) -> None:
        """Write through the telemetry service."""
        await _call(lambda: services.record_tick(ticks=ticks, move=move, now=now))


def _read_scene() -> Scene:
    deployments = tuple(selectors.list_watched_deployments())
    try:
        return Scene(deployments=deployments, agents=tuple(list_agents()))
    except EngineError as error:  # a changed SECRET_KEY: requests are still counted
        return Scene(deployments=deployments, agents=(), agents_problem=error.message)


async def _call(function: Callable[[], T]) -> T:
    """Run a database call in the thread of such calls; a connection that broke is opened anew."""

    def run() -> T:
        close_old_connections()
        return function()

    return await sync_to_async(run, thread_sensitive=True)()
