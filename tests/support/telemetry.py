"""Deployments and points to test telemetry with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from webapp.core.models import User
from webapp.deployments.models import Deployment, DeploymentState
from webapp.planning.models import PlanRequest, ServedModel, WorkloadProfile
from webapp.telemetry.points import DeploymentPoint, Latencies, Rates, ShardPoint
from webapp.telemetry.services import DeploymentTick

START: Final = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NO_RATES: Final = Rates(requests_per_s=0.0, output_tokens_per_s=0.0, prompt_tokens_per_s=0.0)


def create_deployment(name: str = "demo", *, state: DeploymentState = DeploymentState.LIVE) -> Deployment:
    """Store a deployment with the least that it needs."""
    author, _ = User.objects.get_or_create(username="author")
    model, _ = ServedModel.objects.get_or_create(
        slug="demo", defaults={"name": "Demo", "config": {}, "created_at": START}
    )
    workload, _ = WorkloadProfile.objects.get_or_create(
        slug="demo",
        defaults={
            "name": "Demo",
            "source": "demo",
            "arrival": "poisson",
            "requests_per_s": 2.0,
            "classes": [],
            "created_at": START,
        },
    )
    request = PlanRequest.objects.create(
        deployment_name=name,
        author=author,
        created_at=START,
        updated_at=START,
        objective="max_rate",
        budget_usd_per_hour=Decimal(1),
        model=model,
        workload=workload,
    )
    return Deployment.objects.create(
        name=name,
        state=state,
        plan_request=request,
        budget_usd_per_hour=Decimal(1),
        created_at=START,
        updated_at=START,
    )


def at(seconds: float) -> datetime:
    """Return the instant `seconds` after the start."""
    return START + timedelta(seconds=seconds)


def define_point(seconds: float = 0.0, *, ttft_p50_s: float | None = None, **changes: object) -> DeploymentPoint:
    """Return a raw point that ends `seconds` after the start."""
    point = DeploymentPoint(
        sampled_at=at(seconds),
        interval_s=2.0,
        num_requests=0,
        num_failed=0,
        num_cancelled=0,
        num_within_slo=0,
        prompt_tokens=0,
        output_tokens=0,
        in_flight=0,
        latencies=Latencies(ttft_p50_s=ttft_p50_s),
    )
    return replace(point, **changes)  # type: ignore[arg-type]  # tests name fields of the point


def define_shard_point(seconds: float = 0.0, shard_id: str = "s1", **changes: object) -> ShardPoint:
    """Return a shard's raw point at `seconds` after the start."""
    point = ShardPoint(
        shard_id=shard_id,
        sampled_at=at(seconds),
        interval_s=2.0,
        num_running=0.0,
        num_waiting=0.0,
        kv_cache_usage_ratio=0.0,
        output_tokens_per_s=0.0,
        prompt_tokens_per_s=0.0,
    )
    return replace(point, **changes)  # type: ignore[arg-type]  # tests name fields of the point


def define_tick(
    deployment: Deployment, *points: DeploymentPoint, shards: tuple[ShardPoint, ...] = (), rates: Rates = NO_RATES
) -> DeploymentTick:
    """Return a tick of one deployment."""
    return DeploymentTick(
        deployment_id=deployment.pk, deployment_name=deployment.name, points=points, rates=rates, shards=shards
    )
