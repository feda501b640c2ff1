"""One routing decision: filters, then the first tier of scorers that wants any shard, then the picker. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.routing import filters, picker, scorers
from engine.routing.filters import Filter
from engine.routing.scorers import Scorer
from engine.routing.snapshot import Candidate, RoutingRequest
from engine.routing.table import ShardRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A scorer and the word that says why its pick was made."""

    reason: str
    scorer: Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPolicy:
    """How shards are chosen.

    Attributes:
        filters: all must keep a shard.
        tiers: tried in order; the first that scores any shard above 0 decides.
    """

    filters: tuple[Filter, ...]
    tiers: tuple[Tier, ...]


# The plan's shares; a class whose planned shards are all out goes to the others by size, rather than nowhere.
PLANNED_SHARES: Final = RoutingPolicy(
    filters=(filters.accepts_requests, filters.is_untried, filters.is_not_backing_off),
    tiers=(
        Tier(reason="planned", scorer=scorers.score_planned_share),
        Tier(reason="unplanned", scorer=scorers.score_any_share),
        Tier(reason="even", scorer=scorers.score_evenly),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where the request goes.

    Attributes:
        reason: the tier that decided.
        credits_after: the picker's state for the next decision of this class.
    """

    route: ShardRoute
    reason: str
    credits_after: Mapping[str, float]


def decide(
    policy: RoutingPolicy,
    request: RoutingRequest,
    candidates: Sequence[Candidate],
    credits_before: Mapping[str, float],
) -> Decision | None:
    """Return the shard for a request, or None when the filters keep none."""
    kept = [item for item in candidates if all(keeps(request, item) for keeps in policy.filters)]
    for tier in policy.tiers if kept else ():
        scores = tier.scorer(request, kept)
        if any(scores):
            return _pick(tier.reason, kept, scores, credits_before)
    return None


def _pick(
    reason: str, kept: Sequence[Candidate], scores: Sequence[float], credits_before: Mapping[str, float]
) -> Decision:
    routes = {item.route.shard_id: item.route for item in kept}
    shard_id, credits_after = picker.pick_smoothly(tuple(routes), scores, credits_before)
    return Decision(route=routes[shard_id], reason=reason, credits_after=credits_after)
