"""Deployments that serve, with plan and shards, as background traffic finds them."""

from decimal import Decimal
from typing import Final
from uuid import uuid4

from engine.domain.plan import Objective, Plan, Prediction, SolverReport, SolveStatus
from tests.support.telemetry import START, create_deployment
from webapp.deployments.models import Deployment, DeploymentState, Machine, MachineState, Shard, ShardState
from webapp.planning import mapping
from webapp.planning.models import Plan as PlanRow

_CLASSES: Final = [
    {"id": "p32-o16", "prompt_tokens": 32, "output_tokens": 16, "share": 0.75},
    {"id": "p128-o64", "prompt_tokens": 128, "output_tokens": 64, "share": 0.25},
]


def store_plan(deployment: Deployment, *, requests_per_s: float) -> None:
    """Store a plan that predicts a rate."""
    prediction = Prediction(
        requests_per_s=requests_per_s,
        output_tokens_per_s=100.0,
        ttft_s=0.1,
        tpot_s=0.01,
        ttft_slo_s=0.2,
        tpot_slo_s=0.02,
        usd_per_mtok=1.0,
        error_band=0.3,
        source="prior",
    )
    report = SolverReport(
        status=SolveStatus.OPTIMAL, solver="HiGHS", objective=1.0, best_bound=1.0, gap=0.0, runtime_s=0.1, dropped={}
    )
    plan = Plan(
        objective=Objective.MAX_RATE,
        model_ids=("demo",),
        machines=(),
        replicas=(),
        usd_per_hour=0.04,
        prediction=prediction,
        report=report,
        baselines=(),
    )
    PlanRow.objects.create(
        request=deployment.plan_request,
        created_at=START,
        usd_per_hour=Decimal("0.04"),
        body=mapping.plan_to_json(plan),
        instance={},
        offers={},
    )


def store_shard(deployment: Deployment, *, max_model_len: int) -> None:
    """Store a machine with one shard."""
    machine = Machine.objects.create(
        deployment=deployment,
        token=uuid4(),
        provider="local",
        offer_id="local:this-host:cpu-slot:on_demand",
        usd_per_hour=Decimal("0.02"),
        state=MachineState.READY,
        created_at=START,
    )
    Shard.objects.create(
        deployment=deployment,
        machine=machine,
        shard_id=f"{deployment.name}-{machine.pk}",
        replica_id="r1",
        state=ShardState.READY,
        spec={"max_model_len": max_model_len},
        updated_at=START,
    )


def create_serving(
    name: str = "demo", *, state: DeploymentState = DeploymentState.LIVE, is_on: bool = True
) -> Deployment:
    """Store a deployment whose workload has a mean of 56 prompt and 28 output tokens."""
    deployment = create_deployment(name, state=state)
    deployment.has_background_traffic = is_on
    deployment.save()
    workload = deployment.plan_request.workload
    workload.classes = _CLASSES
    workload.save()
    return deployment
