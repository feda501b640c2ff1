"""The gateway's memory between routing decisions: current table, picker credits, shard health. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.gateway import directory, health
from engine.gateway.directory import Directory
from engine.gateway.health import HEALTHY, FailureKind, ShardHealth
from engine.routing import decision
from engine.routing.decision import PLANNED_SHARES, RoutingPolicy
from engine.routing.snapshot import Candidate, RoutingRequest
from engine.routing.table import RoutingTable, ShardRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A shard for one attempt and the reason it was picked."""

    route: ShardRoute
    reason: str


class Router:
    """Picks shards. Health belongs to a URL: a shard that comes back elsewhere starts anew.

    Attributes:
        directory: look-ups of the current table.
    """

    def __init__(self, *, clock: Callable[[], float], policy: RoutingPolicy = PLANNED_SHARES) -> None:
        self.directory: Directory = directory.EMPTY
        self._clock: Final = clock
        self._policy: Final = policy
        self._credits: dict[tuple[str, str], Mapping[str, float]] = {}
        self._health: dict[str, ShardHealth] = {}

    def replace_table(self, table: RoutingTable) -> None:
        """Route by another table from now on; forget what it no longer mentions."""
        self.directory = directory.build_directory(table)
        shards = {name: {route.shard_id for route in found.shards} for name, found in self.directory.by_name.items()}
        urls = {route.url for found in table.deployments for route in found.shards}
        self._health = {url: state for url, state in self._health.items() if url in urls}
        self._credits = {
            (name, class_id): {shard_id: value for shard_id, value in state.items() if shard_id in shards[name]}
            for (name, class_id), state in self._credits.items()
            if name in shards
        }

    def pick(self, deployment: str, request: RoutingRequest) -> Pick | None:
        """Return the shard for the next attempt, or None when there is none just now."""
        routes = self.directory.by_name.get(deployment)
        if routes is None:
            return None
        key = (deployment, request.class_id)
        candidates = [self._observe(route) for route in routes.shards]
        found = decision.decide(self._policy, request, candidates, self._credits.get(key, {}))
        if found is None:
            return None
        self._credits[key] = found.credits_after
        return Pick(route=found.route, reason=found.reason)

    def has_ready_shard(self, deployment: str) -> bool:
        """Tell whether the table has any shard that accepts requests, whatever its traffic says."""
        routes = self.directory.by_name.get(deployment)
        return routes is not None and any(route.accepts_requests for route in routes.shards)

    def note_failure(self, route: ShardRoute, kind: FailureKind) -> None:
        """Remember that a shard failed an attempt."""
        before = self._health.get(route.url, HEALTHY)
        self._health[route.url] = health.after_failure(before, kind, now=self._clock())

    def note_success(self, route: ShardRoute) -> None:
        """Remember that a shard answered."""
        self._health.pop(route.url, None)

    def _observe(self, route: ShardRoute) -> Candidate:
        state = self._health.get(route.url)
        backs_off = state is not None and health.is_backing_off(state, now=self._clock())
        return Candidate(route=route, is_backing_off=backs_off)
