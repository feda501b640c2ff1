"""Who gets background traffic, how much, and with which key."""

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from engine.domain.plan import Objective, Plan, Prediction, SolverReport, SolveStatus
from tests.support.telemetry import START, create_deployment
from webapp.core.errors import NotFoundError
from webapp.core.models import AuditEntry
from webapp.deployments.models import Deployment, DeploymentState, GatewayKey, Machine, MachineState, Shard, ShardState
from webapp.planning import mapping
from webapp.planning.models import Plan as PlanRow
from webapp.telemetry import background
from webapp.telemetry.background import TrafficTarget

pytestmark = pytest.mark.django_db
_CLASSES = [
    {"id": "p32-o16", "prompt_tokens": 32, "output_tokens": 16, "share": 0.75},
    {"id": "p128-o64", "prompt_tokens": 128, "output_tokens": 64, "share": 0.25},
]


def _store_plan(deployment: Deployment, *, requests_per_s: float) -> None:
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


def _store_shard(deployment: Deployment, *, max_model_len: int) -> None:
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


def _create_serving(
    name: str = "demo", *, state: DeploymentState = DeploymentState.LIVE, is_on: bool = True
) -> Deployment:
    deployment = create_deployment(name, state=state)
    deployment.has_background_traffic = is_on
    deployment.save()
    workload = deployment.plan_request.workload
    workload.classes = _CLASSES
    workload.save()
    return deployment


class TestListTargets:
    """The targets of background traffic..."""

    def test_get_half_of_what_the_plan_carries(self) -> None:
        demo = _create_serving()
        _store_plan(demo, requests_per_s=6.0)
        _store_shard(demo, max_model_len=512)
        _store_shard(demo, max_model_len=256)
        assert background.list_targets() == [
            TrafficTarget(
                deployment_name="demo",
                model_name="demo",
                requests_per_s=3.0,
                prompt_tokens=56.0,
                output_tokens=28.0,
                max_model_len=256,
            )
        ]

    @pytest.mark.parametrize("state", list(DeploymentState))
    def test_serve(self, state: DeploymentState) -> None:
        demo = _create_serving(state=state)
        _store_plan(demo, requests_per_s=6.0)
        _store_shard(demo, max_model_len=512)
        is_target = state in {DeploymentState.LIVE, DeploymentState.DEGRADED}
        assert [target.deployment_name for target in background.list_targets()] == (["demo"] if is_target else [])

    def test_are_switched_on(self) -> None:
        demo = _create_serving(is_on=False)
        _store_plan(demo, requests_per_s=6.0)
        _store_shard(demo, max_model_len=512)
        assert background.list_targets() == []

    def test_have_a_plan_that_predicts_a_rate_and_a_shard(self) -> None:
        _create_serving("no-plan")
        no_shard = _create_serving("no-shard")
        _store_plan(no_shard, requests_per_s=6.0)
        no_rate = _create_serving("no-rate")
        _store_plan(no_rate, requests_per_s=0.0)
        _store_shard(no_rate, max_model_len=512)
        assert background.list_targets() == []


class TestRenewKey:
    """The key of background traffic..."""

    def test_replaces_the_earlier_one(self, now: datetime) -> None:
        demo = create_deployment()
        first = background.renew_key(deployment_name="demo", now=now)
        second = background.renew_key(deployment_name="demo", now=now + timedelta(seconds=1))
        assert first != second
        [valid] = GatewayKey.objects.filter(deployment=demo, revoked_at=None)
        assert valid.key_hash == hashlib.sha256(second.encode()).hexdigest()
        assert valid.name == "background traffic"
        assert GatewayKey.objects.get(revoked_at=now + timedelta(seconds=1)).created_at == now

    def test_leaves_keys_of_people_and_other_deployments_alone(self, now: datetime) -> None:
        create_deployment()
        create_deployment("other")
        background.renew_key(deployment_name="other", now=now)
        background.renew_key(deployment_name="demo", now=now)
        background.renew_key(deployment_name="demo", now=now)
        assert GatewayKey.objects.filter(deployment__name="other", revoked_at=None).count() == 1

    def test_is_audited(self, now: datetime) -> None:
        create_deployment()
        background.renew_key(deployment_name="demo", now=now)
        background.renew_key(deployment_name="demo", now=now)
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
        assert actions == ["gateway-key.create", "gateway-key.revoke", "gateway-key.create"]

    def test_needs_the_deployment(self, now: datetime) -> None:
        with pytest.raises(NotFoundError):
            background.renew_key(deployment_name="none", now=now)
        assert GatewayKey.objects.count() == 0
