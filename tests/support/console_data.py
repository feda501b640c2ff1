"""What browser tests change in a console from outside.

`python -m tests.support.console_data` reads lines `{"change": NAME, "given": {...}}` and answers each with a line.
"""

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import django
from django.utils import timezone


def seed() -> dict[str, object]:
    """Make people of every role, the market, the presets and the default policy."""
    now = timezone.now()
    for role in Role:
        core_services.create_user(actor=None, username=role.value, password="a-long-password", role=role, now=now)
    market_services.load_seed(now=now)
    market_services.refresh_local_offers(now=now)
    planning_services.ensure_presets(now=now)
    approval_services.ensure_default_policy(now=now)
    return {}


def request_plan(*, deployment_name: str) -> dict[str, object]:
    """Have the planner ask for a plan of L4 machines, as the form would."""
    spec = planning_services.PlanRequestSpec(
        deployment_name=deployment_name,
        objective="max_rate",
        budget_usd_per_hour=Decimal("2"),
        model_slug="llama-3.1-8b",
        workload_slug="chat",
        slo_ttft_s=2.0,
        slo_tpot_s=0.1,
        slo_e2e_s=30.0,
    )
    actor = User.objects.get(username="planner")
    return {"id": planning_services.request_plan(actor=actor, spec=spec, now=timezone.now()).pk}


def solve(*, plan_request_id: int) -> dict[str, object]:
    """Do what the worker does with a queued solve."""
    row = PlanRequest.objects.get(pk=plan_request_id)
    planning_tasks.solve(plan_request_id=row.pk, solve_token=row.solve_token)
    row.refresh_from_db()
    return {"state": row.state}


def report_progress(*, plan_request_id: int, fraction: float, text: str) -> dict[str, object]:
    """Emit what a working solver emits."""
    payload = {"phase": "solve", "fraction": fraction, "text": text}
    events.emit(topic=f"plan-request:{plan_request_id}", kind="progress", payload=payload, now=timezone.now())
    return {}


def deploy(*, plan_request_id: int) -> dict[str, object]:
    """Make a live deployment of a solved plan, without machines."""
    now = timezone.now()
    row = PlanRequest.objects.get(pk=plan_request_id)
    given = {"created_at": now, "updated_at": now, "budget_usd_per_hour": row.budget_usd_per_hour}
    Deployment.objects.create(name=row.deployment_name, state="live", plan_request=row, **given)
    return {}


def measure(*, name: str, ttft_p90_s: float, output_tokens_per_s: float) -> dict[str, object]:
    """Record one tick of the collector."""
    now = timezone.now()
    deployment = Deployment.objects.get(name=name)
    point = DeploymentPoint(
        sampled_at=now,
        interval_s=2.0,
        num_requests=4,
        num_failed=0,
        num_cancelled=0,
        num_within_slo=4,
        prompt_tokens=400,
        output_tokens=round(2 * output_tokens_per_s),
        in_flight=3,
        latencies=Latencies(
            ttft_p50_s=ttft_p90_s / 2,
            ttft_p90_s=ttft_p90_s,
            tpot_p50_s=0.02,
            tpot_p90_s=0.03,
            e2e_p50_s=1.25,
            e2e_p90_s=2.5,
        ),
    )
    shard = ShardPoint(
        shard_id=f"{name}-r1-12345678",
        sampled_at=now - timedelta(milliseconds=1),
        interval_s=2.0,
        num_running=2,
        num_waiting=1,
        kv_cache_usage_ratio=0.25,
        output_tokens_per_s=output_tokens_per_s,
        prompt_tokens_per_s=200.0,
    )
    rates = Rates(requests_per_s=2.0, output_tokens_per_s=output_tokens_per_s, prompt_tokens_per_s=200.0)
    tick = DeploymentTick(
        deployment_id=deployment.pk, deployment_name=name, points=(point,), rates=rates, shards=(shard,)
    )
    telemetry_services.record_tick(ticks=[tick], move=None, now=now)
    return {}


def move_deployment(*, name: str, state: str) -> dict[str, object]:
    """Move a deployment as the reconcile loop does."""
    deployment = Deployment.objects.get(name=name)
    deployment_transitions.move_deployment(deployment, to=DeploymentState(state), reason="", now=timezone.now())
    return {}


if __name__ == "__main__":
    django.setup()
    # Models can be imported only after the line above.
    from webapp.approvals import services as approval_services
    from webapp.core import events
    from webapp.core import services as core_services
    from webapp.core.models import Role, User
    from webapp.deployments import transitions as deployment_transitions
    from webapp.deployments.models import Deployment, DeploymentState
    from webapp.market import services as market_services
    from webapp.planning import services as planning_services
    from webapp.planning.models import PlanRequest
    from webapp.telemetry import services as telemetry_services
    from webapp.telemetry.points import DeploymentPoint, Latencies, Rates, ShardPoint
    from webapp.telemetry.services import DeploymentTick
    from workers.tasks import planning as planning_tasks

    _CHANGES: Final[dict[str, Callable[..., Any]]] = {
        change.__name__: change
        for change in (seed, request_plan, solve, report_progress, deploy, measure, move_deployment)
    }
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_CHANGES[asked["change"]](**asked["given"])), flush=True)
