"""Filters: which shards may take a request at all. Each is a pure predicate of request and shard."""

from collections.abc import Callable
from typing import TypeAlias

from engine.routing.snapshot import Candidate, RoutingRequest

Filter: TypeAlias = Callable[[RoutingRequest, Candidate], bool]


def accepts_requests(_: RoutingRequest, candidate: Candidate) -> bool:
    """Keep shards that the console calls ready."""
    return candidate.route.accepts_requests


def is_untried(request: RoutingRequest, candidate: Candidate) -> bool:
    """Keep shards that have not failed this request."""
    return candidate.route.shard_id not in request.tried


def is_not_backing_off(_: RoutingRequest, candidate: Candidate) -> bool:
    """Keep shards that have not just failed others' requests."""
    return not candidate.is_backing_off
