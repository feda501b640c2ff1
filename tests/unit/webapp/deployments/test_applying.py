"""Handing an approved plan over."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from webapp.core import queue
from webapp.core.models import AuditEntry, Event
from webapp.deployments.applying import NotApprovedError
from webapp.deployments.models import Deployment, DeploymentState, Machine
from webapp.planning.freshness import StalePlanError
from webapp.planning.models import PlanRequest, PlanState

pytestmark = pytest.mark.django_db
H100 = "aws:us-east-1:p5.48xlarge:on_demand"


def get_state(request: PlanRequest) -> tuple[str, str]:
    row = PlanRequest.objects.get(pk=request.pk)
    return row.state, row.state_reason


class TestApplyPlan:
    def test_makes_the_deployment_and_queues_its_reconciling(
        self,
        world: Any,
        monkeypatch: pytest.MonkeyPatch,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        sent: list[tuple[str, str, dict[str, object]]] = []
        monkeypatch.setattr(queue, "_send_now", lambda name, where, kwargs: sent.append((name, where, kwargs)))
        request = world.approve()
        with django_capture_on_commit_callbacks(execute=True):
            deployment = world.apply(request)
        assert (deployment.name, deployment.state, deployment.plan_request_id) == ("chat", "applying", request.pk)
        assert deployment.budget_usd_per_hour == Decimal("0.04")
        assert get_state(request) == ("applying", "")
        assert sent[-1] == ("deployments.reconcile", "operate", {"deployment_id": deployment.pk})
        assert Machine.objects.count() == 0

    def test_changes_nothing_the_second_time(self, world: Any) -> None:
        request = world.approve()
        deployment = world.apply(request)
        num_events, num_audits = Event.objects.count(), AuditEntry.objects.count()
        assert world.apply(request) == deployment
        assert (Event.objects.count(), AuditEntry.objects.count()) == (num_events, num_audits)

    @pytest.mark.parametrize(
        "state", [PlanState.PRICED, PlanState.AWAITING_APPROVAL, PlanState.REJECTED, PlanState.STOPPED]
    )
    def test_refuses_what_nobody_approved(self, world: Any, state: PlanState) -> None:
        request = world.approve()
        PlanRequest.objects.filter(pk=request.pk).update(state=state)
        with pytest.raises(NotApprovedError, match="not approved"):
            world.apply(request)
        assert not Deployment.objects.exists()

    def test_refuses_a_stale_plan(self, world: Any, load_offer: Any) -> None:
        request = world.approve()
        load_offer(
            provider="local",
            region="this-host",
            instance_type="cpu-slot",
            gpu_name="cpu-slot",
            gpu_count=1,
            usd_per_hour=0.03,
            available_count=8,
            observed_at=world.clock.now.replace(minute=30, hour=11),
            source="dearer",
        )
        world.clock.sleep(60)
        PlanRequest.objects.filter(pk=request.pk).update(state=PlanState.APPROVED)
        plan = request.plan
        plan.offers = {key: value | {"usd_per_hour": "0.01"} for key, value in plan.offers.items()}
        plan.save()
        with pytest.raises(StalePlanError):
            world.apply(request)
        assert get_state(request)[0] == "stale"
        assert not Deployment.objects.exists()


class TestRefusal:
    def approve_cloud(self, world: Any, make_plan: Any, **changes: Any) -> PlanRequest:
        request: PlanRequest = world.approve(
            make_plan(), model_slug="llama-8b", budget_usd_per_hour=Decimal("50"), **changes
        )
        return request

    def test_without_credentials_fails_plan_and_deployment(self, world: Any, make_plan: Any) -> None:
        request = self.approve_cloud(world, make_plan)
        deployment = world.apply(request)
        assert get_state(request) == ("failed", "no credentials for provider aws")
        assert (deployment.state, deployment.state_reason) == ("failed", "no credentials for provider aws")
        assert not Machine.objects.exists()
        assert not world.is_wanted(deployment)

    def test_leaves_a_running_deployment_alone(self, world: Any, make_plan: Any) -> None:
        deployment = world.make_live()
        old = deployment.plan_request_id
        request = self.approve_cloud(world, make_plan)
        assert world.apply(request) is None
        deployment.refresh_from_db()
        assert (deployment.state, deployment.plan_request_id) == (DeploymentState.LIVE, old)
        assert get_state(request)[0] == "failed"
        world.reconcile(deployment)
        assert len(world.cloud.machines) == 2

    def test_of_a_model_without_weights_here(self, world: Any) -> None:
        request = world.approve()
        request.model.weights_path = ""
        request.model.save()
        world.apply(request)
        assert get_state(request) == (
            "failed",
            "model demo has no weights on this host: choose a cloud provider",
        )

    def test_of_a_replica_that_cannot_be_started(self, world: Any) -> None:
        request = world.approve(world.make_local_plan(engine_args={"max-model-len": "512"}))
        world.apply(request)
        state, reason = get_state(request)
        assert state == "failed"
        assert reason.startswith("replica r1 has no usable engine argument kv-cache-memory-bytes")

    def test_of_a_plan_without_machines(self, world: Any, make_plan: Any) -> None:
        request = world.approve(replace(world.make_local_plan(), machines=(), replicas=()))
        world.apply(request)
        assert get_state(request)[0] == "failed"

    def test_can_be_followed_by_a_plan_that_works(self, world: Any, make_plan: Any) -> None:
        world.apply(self.approve_cloud(world, make_plan))
        deployment = world.make_live()
        assert deployment.state == "live"
        assert Deployment.objects.count() == 1
