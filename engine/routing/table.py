"""The routing table that the console publishes and every gateway pulls."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.domain.slo import Slo
from engine.domain.workload import RequestClass


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRoute:
    """One shard as the gateway sees it.

    Attributes:
        shard_id: stable id of the shard.
        url: base URL without path, e.g. `http://127.0.0.1:9001`.
        weights: class id -> share of that class's traffic (not normalised).
        accepts_requests: False while it starts, drains or is unhealthy.
        strips_seed: drop `seed` from bodies (CPU engines crash on it with chunked prefill).
    """

    shard_id: str
    url: str
    weights: Mapping[str, float]
    accepts_requests: bool
    strips_seed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRoutes:
    """Everything the gateway needs to serve one deployment.

    Attributes:
        key_hashes: SHA-256 hex digests of the keys that may use it.
        model_name: name clients send as `model`, and the shards' served model name.
        slo: bounds for counting requests within the SLO.
    """

    name: str
    model_name: str
    classes: tuple[RequestClass, ...]
    slo: Slo
    key_hashes: tuple[str, ...]
    shards: tuple[ShardRoute, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """One version of all deployments; `version` is a digest of the content and serves as ETag."""

    version: str
    deployments: tuple[DeploymentRoutes, ...]
