"""Scorers: how much a request belongs on each shard, in [0, 1]; 0 = not here.

Pure functions of the request and all shards that passed the filters; the answer has their order.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from engine.routing.snapshot import Candidate, RoutingRequest

Scorer: TypeAlias = Callable[[RoutingRequest, Sequence[Candidate]], tuple[float, ...]]


def score_planned_share(request: RoutingRequest, candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """Score by the share of this request's class that the plan gives each shard."""
    return _scale([item.route.weights.get(request.class_id, 0.0) for item in candidates])


def score_any_share(_: RoutingRequest, candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """Score by the share of all classes together: about the shard's size."""
    return _scale([sum(item.route.weights.values()) for item in candidates])


def score_evenly(_: RoutingRequest, candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """Score all shards alike."""
    return (1.0,) * len(candidates)


def _scale(weights: Sequence[float]) -> tuple[float, ...]:
    """Return weights relative to the largest; negative ones count as 0."""
    top = max(weights, default=0.0)
    if top <= 0.0:
        return (0.0,) * len(weights)
    return tuple(max(0.0, weight / top) for weight in weights)
