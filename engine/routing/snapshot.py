"""What a routing decision is made from: one request and the shards as they are at this instant."""

from dataclasses import dataclass

from engine.routing.table import ShardRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRequest:
    """What routing knows of a request.

    Attributes:
        class_id: request class; empty when the deployment has none.
        tried: shards that already failed this request.
    """

    class_id: str
    tried: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One shard at the instant of the decision.

    Attributes:
        is_backing_off: it failed just now and is left alone for a moment.
    """

    route: ShardRoute
    is_backing_off: bool = False
