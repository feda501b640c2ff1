"""The routing table that gateways pull: every deployment with its shards and keys.

A stopped one stays in it without shards, so that its clients learn that it does not serve, not that their key is wrong.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from django.db.models import Prefetch

from engine.domain.codec import value_to_json
from engine.domain.plan import Plan
from engine.routing.table import DeploymentRoutes, RoutingTable, ShardRoute
from webapp.deployments import desired, states
from webapp.deployments.models import Deployment, GatewayKey, MachineState, Shard, ShardState
from webapp.planning import mapping as plan_mapping
from webapp.planning.models import Plan as PlanRow

_VERSION_CHARS: Final = 32


def build_routing_table() -> RoutingTable:
    """Return the table as the rows say now; the version changes exactly when the content does."""
    rows = Deployment.objects.order_by("name")
    shards = Shard.objects.exclude(state=ShardState.STOPPED).select_related("machine").order_by("shard_id")
    keys = GatewayKey.objects.filter(revoked_at=None).order_by("key_hash")
    loaded = rows.select_related(
        "plan_request__workload", "plan_request__model", "plan_request__plan"
    ).prefetch_related(Prefetch("shards", queryset=shards), Prefetch("keys", queryset=keys))
    deployments = tuple(_build_routes(row) for row in loaded)
    return RoutingTable(version=_digest(deployments), deployments=deployments)


def _digest(deployments: Iterable[DeploymentRoutes]) -> str:
    data = [value_to_json(item) for item in deployments]
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_VERSION_CHARS]


def _build_routes(row: Deployment) -> DeploymentRoutes:
    request = row.plan_request
    workload = plan_mapping.row_to_workload(
        request.workload, model_id=request.model.slug, requests_per_s=request.requests_per_s
    )
    cpu_replicas = _list_cpu_replicas(request.plan)
    return DeploymentRoutes(
        name=row.name,
        model_name=request.model.slug,
        classes=workload.classes,
        slo=plan_mapping.row_to_slo(request),
        key_hashes=tuple(key.key_hash for key in row.keys.all()),
        shards=tuple(_build_route(row, shard, cpu_replicas) for shard in row.shards.all() if shard.url),
    )


def _list_cpu_replicas(plan: PlanRow) -> frozenset[str]:
    decoded: Plan = plan_mapping.json_to_plan(plan.body)
    return frozenset(replica.id for replica in decoded.replicas if desired.runs_on_cpu(replica))


def _build_route(deployment: Deployment, shard: Shard, cpu_replicas: frozenset[str]) -> ShardRoute:
    is_open = deployment.state not in states.UNWANTED and shard.machine.state != MachineState.RELEASING
    return ShardRoute(
        shard_id=shard.shard_id,
        url=shard.url,
        weights={class_id: float(weight) for class_id, weight in sorted(shard.weights.items())},
        accepts_requests=is_open and shard.state == ShardState.READY,
        strips_seed=shard.replica_id in cpu_replicas,
    )
