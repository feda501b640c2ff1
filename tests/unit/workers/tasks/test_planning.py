"""Tasks of planning, with the real planner."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from engine.planners.rental.instance_file import solve_instance_file
from webapp.approvals import services as approval_services
from webapp.approvals.models import Decision
from webapp.core import queue
from webapp.core.models import Event, User
from webapp.market import services as market_services
from webapp.market.models import Offer
from webapp.planning import selectors, services
from webapp.planning.models import PlanRequest, PlanState
from webapp.planning.solving import SOLVE_LEASE
from workers.tasks import planning as tasks

pytestmark = pytest.mark.django_db

Sent = list[tuple[str, dict[str, object]]]
RequestPlan = Callable[..., PlanRequest]

SLOT_OFFER = "local:this-host:cpu-slot:on_demand"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., object]) -> Sent:
    """Collect what reaches the broker."""
    found: Sent = []
    monkeypatch.setattr(queue, "_send_now", lambda name, _queue, kwargs: found.append((name, kwargs)))
    return found


@pytest.fixture
def demo_start(now: datetime) -> datetime:
    """An installation after its first start: presets, slots of this host, the default policy; return the instant."""
    instant = timezone.now()
    services.ensure_presets(now=instant)
    market_services.refresh_local_offers(now=instant)
    approval_services.ensure_default_policy(now=instant)
    return instant


@pytest.fixture
def request_plan(demo_start: datetime, planner: User) -> RequestPlan:
    """Ask for the plan of the demo, some fields changed."""

    def call(**changes: object) -> PlanRequest:
        fields = {
            "deployment_name": "demo",
            "objective": "max_rate",
            "budget_usd_per_hour": Decimal("0.0400"),
            "model_slug": "demo",
            "workload_slug": "demo",
            "allowed_providers": ("local",),
            **changes,
        }
        spec = services.PlanRequestSpec(**fields)
        return services.request_plan(actor=planner, spec=spec, now=demo_start)

    return call


def _run(request: PlanRequest) -> None:
    tasks.solve(plan_request_id=request.pk, solve_token=request.solve_token)
    request.refresh_from_db()


class TestSolve:
    """`planning.solve`..."""

    def test_plans_nothing_on_slots_that_other_deployments_have(
        self, request_plan: RequestPlan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def count_taken(*, deployment_name: str) -> dict[str, int]:
            asked.append(deployment_name)
            return dict.fromkeys(Offer.objects.values_list("offer_id", flat=True), 1_000_000)

        monkeypatch.setattr("webapp.deployments.stock.count_taken", count_taken)
        request = request_plan()
        _run(request)
        assert (request.state, asked) == (PlanState.INFEASIBLE, ["demo"])

    def test_plans_two_slots_for_the_demo_and_lets_the_policy_approve_them(self, request_plan: RequestPlan) -> None:
        request = request_plan()
        _run(request)
        assert (request.state, request.solve_token) == (PlanState.APPROVED, "")
        plan = selectors.find_plan(request_id=request.pk)
        assert plan is not None
        assert [(machine.offer_id, machine.usd_per_hour) for machine in plan.machines] == [(SLOT_OFFER, 0.02)] * 2
        assert [replica.model_id for replica in plan.replicas] == ["demo", "demo"]
        assert plan.report.status == "optimal"
        assert plan.prediction is not None
        assert plan.prediction.requests_per_s > 0
        assert Decision.objects.get().policy is not None
        assert request.plan.usd_per_hour == Decimal("0.04")

    def test_tells_browsers_how_far_it_is_and_where_it_ended(self, request_plan: RequestPlan) -> None:
        request = request_plan()
        Event.objects.all().delete()
        _run(request)
        events = Event.objects.filter(topic=f"plan-request:{request.pk}").order_by("pk")
        assert events[0].payload["phase"] == "load"
        states = [event.payload["state"] for event in events if event.kind == "state"]
        assert states == ["priced", "policy_checked", "approved"]

    def test_stores_an_instance_that_solves_to_the_same_cost(self, request_plan: RequestPlan) -> None:
        request = request_plan()
        _run(request)
        ticks = iter(range(1000))
        answer = solve_instance_file(selectors.get_instance(pk=request.pk), clock=lambda: next(ticks) / 1000)
        assert answer["status"] == "optimal"
        assert answer["usd_per_hour"] == pytest.approx(0.04)

    def test_says_what_a_budget_below_one_slot_misses(self, request_plan: RequestPlan) -> None:
        request = request_plan(budget_usd_per_hour=Decimal("0.01"))
        _run(request)
        assert request.state == PlanState.INFEASIBLE
        assert "0.02" in request.state_reason
        assert Decision.objects.count() == 0

    def test_does_nothing_the_second_time(self, request_plan: RequestPlan) -> None:
        request = request_plan()
        token = request.solve_token
        _run(request)
        num_events = Event.objects.count()
        tasks.solve(plan_request_id=request.pk, solve_token=token)
        assert Event.objects.count() == num_events

    def test_ends_quietly_when_the_request_is_gone(self) -> None:
        tasks.solve(plan_request_id=12, solve_token="t")
        assert Event.objects.count() == 0

    def test_passes_over_arguments_of_newer_senders(self, request_plan: RequestPlan) -> None:
        request = request_plan()
        tasks.solve(plan_request_id=request.pk, solve_token="old", priority=3)
        request.refresh_from_db()
        assert request.state == PlanState.SOLVING


class TestSweep:
    """`planning.sweep`..."""

    def test_queues_a_solve_again_whose_worker_died(
        self, request_plan: RequestPlan, sent: Sent, django_capture_on_commit_callbacks: Callable[..., object]
    ) -> None:
        request = request_plan()
        PlanRequest.objects.update(updated_at=timezone.now() - SOLVE_LEASE - timedelta(seconds=1))
        with django_capture_on_commit_callbacks(execute=True):
            tasks.sweep()
        request.refresh_from_db()
        assert sent == [("planning.solve", {"plan_request_id": request.pk, "solve_token": request.solve_token})]
        _run(request)
        assert request.state == PlanState.APPROVED

    def test_checks_policies_where_the_worker_died_after_the_solve(self, request_plan: RequestPlan) -> None:
        request = request_plan()
        services.solve(
            plan_request_id=request.pk,
            solve_token=request.solve_token,
            compute=tasks.compute_plan,
            clock=lambda: 0.0,
            get_now=timezone.now,
        )
        tasks.sweep()
        request.refresh_from_db()
        assert request.state == PlanState.PRICED
        PlanRequest.objects.update(updated_at=timezone.now() - SOLVE_LEASE - timedelta(seconds=1))
        tasks.sweep()
        request.refresh_from_db()
        assert request.state == PlanState.APPROVED

    def test_leaves_fresh_solves_alone(self, request_plan: RequestPlan) -> None:
        request = request_plan()
        token = request.solve_token
        tasks.sweep()
        request.refresh_from_db()
        assert request.solve_token == token
