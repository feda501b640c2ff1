"""Counting requests in and out: the one place where in-flight counts change and records are made."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from engine.gateway.errors import ApiError
from engine.gateway.metrics import GatewayMetrics
from engine.gateway.protocol import GatewayStats, Outcome
from engine.gateway.stats import StatsRing
from engine.gateway.track import Track, track_to_record
from engine.routing.table import DeploymentRoutes

_FIRST_SERVER_STATUS: Final = 500


class ClientGoneError(ConnectionError):
    """The caller closed the connection; nobody is left to answer."""


class Recorder:
    """Follows requests from arrival to end."""

    def __init__(self, *, ring: StatsRing, metrics: GatewayMetrics, wall_clock: Callable[[], float]) -> None:
        self._ring: Final = ring
        self._metrics: Final = metrics
        self._wall_clock: Final = wall_clock
        self._in_flight: dict[str, int] = {}

    @contextmanager
    def follow(self, deployment: DeploymentRoutes, *, arrived_at: float) -> Iterator[Track]:
        """Count a request in, and out again however it ends; there is no await between the end and the count."""
        track = Track(deployment=deployment, arrived_at=arrived_at)
        self._change_in_flight(deployment.name, +1)
        try:
            yield track
        except BaseException as error:
            track.outcome = _define_outcome(error)
            raise
        finally:
            self._change_in_flight(deployment.name, -1)
            record = track_to_record(track, seq=self._ring.next_seq, finished_at=self._wall_clock())
            self._ring.add(record)
            self._metrics.note_record(record)

    def read_stats(self, since: int) -> GatewayStats:
        """Return the records from `since` on and the present in-flight counts."""
        return self._ring.list_since(since, in_flight=self._in_flight)

    def render_metrics(self) -> bytes:
        """Return the Prometheus metrics, the in-flight counts of this instant among them."""
        return self._metrics.render(self._in_flight)

    def _change_in_flight(self, name: str, change: int) -> None:
        count = self._in_flight.get(name, 0) + change
        self._in_flight[name] = count
        if count == 0:
            del self._in_flight[name]


def _define_outcome(error: BaseException) -> Outcome:
    if isinstance(error, asyncio.CancelledError | ClientGoneError):
        return Outcome.CANCELLED
    if isinstance(error, ApiError) and error.status < _FIRST_SERVER_STATUS:
        return Outcome.REJECTED
    return Outcome.FAILED
