"""Local plans, and a cloud without processes to reconcile them with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.domain.configuration import Phase, Stage
from engine.domain.plan import Plan, PlannedMachine, PlannedReplica, PlannedStage
from tests.support.fake_cloud import FakeClock, FakeCloud
from webapp.deployments import applying, services, wanting
from webapp.deployments.models import Deployment, DeploymentState, Machine
from webapp.deployments.reconcile import ReconcileResult, reconcile_deployment
from webapp.planning.models import PlanRequest, PlanState, ServedModel

SLOT = "local:this-host:cpu-slot:on_demand"
SLOT_USD_PER_HOUR = Decimal("0.02")

MakeLocalPlan = Callable[..., Plan]


def define_replica(number: int, machine_id: str, *, share: float, **changes: Any) -> PlannedReplica:
    """Return a replica on one slot."""
    stage = Stage(offer_id=SLOT, machine_index=0, gpu_name="cpu-slot", tensor_parallel=1, num_layers=8)
    replica = PlannedReplica(
        id=f"r{number}",
        model_id="demo",
        phase=Phase.MIXED,
        configuration_id=f"demo/{SLOT}/tp1",
        stages=(PlannedStage(machine_id=machine_id, stage=stage),),
        shares={"p128-o64": share, "p1024-o256": share},
        requests_per_s=1.0,
        kv_tokens=32_768,
        max_num_seqs=16,
        max_num_batched_tokens=2048,
        engine_args={"max-model-len": "4096", "kv-cache-memory-bytes": "268435456"},
    )
    return replace(replica, **changes)


@pytest.fixture
def make_local_plan(make_plan: Callable[..., Plan]) -> MakeLocalPlan:
    """Build a plan of slots of this host with one replica on each."""

    def make(num_machines: int = 2, **replica: Any) -> Plan:
        numbers = range(1, num_machines + 1)
        return make_plan(
            machines=tuple(PlannedMachine(id=f"m{number}", offer_id=SLOT, usd_per_hour=0.02) for number in numbers),
            replicas=tuple(
                define_replica(number, f"m{number}", share=1 / num_machines, **replica) for number in numbers
            ),
            usd_per_hour=0.02 * num_machines,
            model_ids=("demo",),
        )

    return make


@pytest.fixture
def demo_model(db: None, served_model: ServedModel, now: datetime) -> ServedModel:
    """A model with weights on this host."""
    return ServedModel.objects.create(
        slug="demo", name="Demo", config=served_model.config, weights_path="/models/demo", created_at=now
    )


@dataclass(kw_only=True)
class World:
    """A deployment's surroundings: requests, cloud and clock."""

    cloud: FakeCloud
    clock: FakeClock
    make_plan_request: Callable[..., PlanRequest]
    make_local_plan: MakeLocalPlan

    def approve(self, plan: Plan | None = None, *, name: str = "chat", **changes: Any) -> PlanRequest:
        """Return an approved plan request for local slots."""
        return self.make_plan_request(
            PlanState.APPROVED,
            plan=plan or self.make_local_plan(),
            deployment_name=name,
            **({"model_slug": "demo", "budget_usd_per_hour": Decimal("0.04")} | changes),
        )

    def apply(self, request: PlanRequest) -> Deployment | None:
        """Hand a plan over."""
        return applying.apply_plan(plan_request_id=request.pk, now=self.clock(), access=self.cloud.build_access())

    def start(self, plan: Plan | None = None, *, name: str = "chat", **changes: Any) -> Deployment:
        """Return a deployment whose plan was handed over, with no machine yet."""
        deployment = self.apply(self.approve(plan, name=name, **changes))
        assert deployment is not None
        return deployment

    def reconcile(self, deployment: Deployment, *, watch_s: float = 60.0) -> ReconcileResult:
        """Reconcile and read the row again."""
        result = reconcile_deployment(
            deployment_id=deployment.pk,
            watch_s=watch_s,
            access=self.cloud.build_access(),
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        deployment.refresh_from_db()
        return result

    def make_live(self, plan: Plan | None = None, *, name: str = "chat", **changes: Any) -> Deployment:
        """Return a live deployment."""
        deployment = self.start(plan, name=name, **changes)
        self.reconcile(deployment)
        assert deployment.state == DeploymentState.LIVE
        return deployment

    def stop(self, deployment: Deployment) -> None:
        """Ask for the end of a deployment."""
        services.stop_deployment(actor=None, name=deployment.name, now=self.clock())
        deployment.refresh_from_db()

    def list_held(self, deployment: Deployment) -> list[Machine]:
        """Return machines that are not over, oldest first."""
        rows = Machine.objects.filter(deployment=deployment).exclude(state__in=["released", "failed"])
        return list(rows.order_by("pk"))

    def is_wanted(self, deployment: Deployment) -> bool:
        """Return whether the plan still decides."""
        return wanting.is_wanted(Deployment.objects.select_related("plan_request").get(pk=deployment.pk))


@pytest.fixture
def slots(load_offer: Callable[..., Any], market: Any, now: datetime) -> None:
    """Enough slots of this host for every plan of these tests."""
    load_offer(
        provider="local",
        region="this-host",
        instance_type="cpu-slot",
        gpu_name="cpu-slot",
        gpu_count=1,
        usd_per_hour=0.02,
        available_count=8,
        observed_at=now,
    )


@pytest.fixture
def world(
    slots: None,
    make_plan_request: Callable[..., PlanRequest],
    make_local_plan: MakeLocalPlan,
    demo_model: ServedModel,
    now: datetime,
) -> World:
    """A cloud with nothing on it, at the instant of the tests."""
    return World(
        cloud=FakeCloud(),
        clock=FakeClock(now=now),
        make_plan_request=make_plan_request,
        make_local_plan=make_local_plan,
    )
