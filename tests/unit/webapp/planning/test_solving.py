"""Solving in three phases under a token."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connections

from engine.domain.offer import Offer
from engine.domain.plan import InfeasibleReason, Plan, SolveStatus
from engine.errors import EngineError
from engine.planners.rental.request import RentalAnswer, RentalRequest
from webapp.core.errors import NotFoundError
from webapp.core.models import AuditEntry, Event, User
from webapp.planning import mapping, services, solving
from webapp.planning import models as planning_models
from webapp.planning.models import PlanRequest, PlanState, ServedModel

MakePlan = Callable[..., Plan]
MakePlanRequest = Callable[..., PlanRequest]
Report = Callable[[str, float], None]
Compute = Callable[[RentalRequest, Report], RentalAnswer]

H100_OFFER = "aws:us-east-1:p5.48xlarge:on_demand"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, object]]]:
    """Collect what is queued."""
    found: list[tuple[str, str, dict[str, object]]] = []
    monkeypatch.setattr(solving, "send_task", lambda name, *, queue, **kwargs: found.append((name, queue, kwargs)))
    return found


def _solve(request: PlanRequest, compute: Compute, now: datetime, token: str | None = None) -> PlanState | None:
    seconds = iter(range(1000))
    return services.solve(
        plan_request_id=request.pk,
        solve_token=request.solve_token if token is None else token,
        compute=compute,
        clock=lambda: float(next(seconds)),
        get_now=lambda: now,
    )


class TestStartSolve:
    """`start_solve`..."""

    def test_queues_the_solve_under_a_new_token(
        self, make_plan_request: MakePlanRequest, planner: User, sent: list[object], now: datetime
    ) -> None:
        request = make_plan_request()
        request = services.start_solve(actor=planner, plan_request_id=request.pk, now=now)
        request.refresh_from_db()
        assert (request.state, len(request.solve_token)) == (PlanState.SOLVING, 36)
        assert request.progress == {"phase": "queued", "fraction": 0.0, "text": "Waiting for a solver", "attempt": 1}
        kwargs = {"plan_request_id": request.pk, "solve_token": request.solve_token}
        assert sent == [("planning.solve", "solve", kwargs)]
        assert AuditEntry.objects.filter(action="plan-request.move").latest("pk").actor == planner

    @pytest.mark.parametrize("state", PlanState)
    def test_starts_from_exactly_the_states_that_can_be_solved(
        self, make_plan_request: MakePlanRequest, planner: User, state: PlanState, sent: list[object], now: datetime
    ) -> None:
        request = make_plan_request()
        PlanRequest.objects.filter(pk=request.pk).update(state=state)
        if state in {"draft", "awaiting_approval", "failed", "rejected", "stale", "infeasible"}:
            assert services.start_solve(actor=planner, plan_request_id=request.pk, now=now).state == PlanState.SOLVING
            return
        with pytest.raises(services.IllegalTransitionError):
            services.start_solve(actor=planner, plan_request_id=request.pk, now=now)
        request.refresh_from_db()
        assert (request.state, request.solve_token, sent) == (state, "", [])

    @pytest.mark.django_db
    def test_refuses_a_request_that_is_not_there(self, now: datetime) -> None:
        with pytest.raises(NotFoundError):
            services.start_solve(actor=None, plan_request_id=1, now=now)


class TestSolve:
    """`solve`..."""

    def test_asks_the_planner_for_what_the_request_says(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, market: dict[str, Offer], now: datetime
    ) -> None:
        asked: list[RentalRequest] = []

        def compute(rental: RentalRequest, _report: Report) -> RentalAnswer:
            asked.append(rental)
            return RentalAnswer(plan=make_plan(), instance={})

        request = make_plan_request(PlanState.SOLVING, default_available_count=3, requests_per_s=7.0)
        _solve(request, compute, now)
        rental = asked[0]
        assert {offer.id for offer in rental.offers} == set(market) - {"local:this-host:cpu-slot:on_demand"}
        assert (rental.objective, rental.budget_usd_per_hour) == ("max_rate", 100.0)
        assert (rental.slo.ttft_s, rental.slo.tpot_s, rental.slo.e2e_s, rental.slo.percentile) == (2.0, 0.1, None, 90.0)
        assert rental.options.default_available_count == 3
        (demand,) = rental.demands
        assert (demand.model.id, demand.model.num_layers, demand.workload.model_id) == ("llama-8b", 32, "llama-8b")
        assert (demand.workload.requests_per_s, [item.share for item in demand.workload.classes]) == (7.0, [0.75, 0.25])

    @pytest.mark.parametrize(
        ("changes", "offers"),
        [
            ({"allows_spot": False}, {H100_OFFER}),
            ({"allowed_providers": ("runpod",)}, {"runpod:eu-1:L4:spot"}),
            ({"allowed_regions": ("us-east-1",)}, {H100_OFFER}),
        ],
    )
    def test_keeps_to_the_allowed_part_of_the_market(
        self,
        make_plan_request: MakePlanRequest,
        make_plan: MakePlan,
        changes: dict[str, object],
        offers: set[str],
        now: datetime,
    ) -> None:
        seen: list[str] = []

        def compute(rental: RentalRequest, _report: Report) -> RentalAnswer:
            seen.extend(offer.id for offer in rental.offers)
            return RentalAnswer(plan=make_plan([], prediction=None), instance={})

        _solve(make_plan_request(PlanState.SOLVING, **changes), compute, now)
        assert set(seen) == offers

    def test_stores_the_plan_with_the_offers_it_was_priced_with(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        plan = make_plan([(H100_OFFER, 40.0), (H100_OFFER, 40.0)])
        later = now + timedelta(seconds=3)
        state = _solve(request, lambda _r, _p: RentalAnswer(plan=plan, instance={"name": "x"}), later)
        request.refresh_from_db()
        assert (state, request.state, request.state_reason) == (PlanState.PRICED, PlanState.PRICED, "")
        assert (request.solve_token, request.market_as_of) == ("", later)
        stored = request.plan
        assert (stored.usd_per_hour, stored.created_at, stored.instance) == (Decimal(80), later, {"name": "x"})
        assert mapping.json_to_plan(stored.body) == plan
        assert set(stored.offers) == {H100_OFFER}
        assert stored.offers[H100_OFFER]["usd_per_hour"] == "40.000000"
        assert stored.offers[H100_OFFER]["observed_at"] == "2026-11-24T10:00:00+00:00"

    def test_takes_no_plan_that_uses_an_offer_it_was_not_given(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        answer = RentalAnswer(plan=make_plan([("gcp:r:a3:spot", 1.0)]), instance={})
        with pytest.raises(KeyError, match="gcp:r:a3:spot"):
            _solve(request, lambda _r, _p: answer, now)
        request.refresh_from_db()
        assert (request.state, planning_models.Plan.objects.count()) == (PlanState.SOLVING, 0)

    def test_moves_to_infeasible_with_the_reasons_and_keeps_them(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        reasons = (
            InfeasibleReason(kind="budget", subject="", value=12.0, text="A budget of 12.00 USD/h would do."),
            InfeasibleReason(kind="slo", subject="", value=1.5, text="An SLO 1.5 times as loose would do."),
        )
        plan = make_plan([], prediction=None)
        report = replace(plan.report, status=SolveStatus.INFEASIBLE, objective=None, reasons=reasons)
        plan = replace(plan, report=report)
        request = make_plan_request(PlanState.SOLVING)
        state = _solve(request, lambda _r, _p: RentalAnswer(plan=plan, instance={}), now)
        request.refresh_from_db()
        assert state == request.state == PlanState.INFEASIBLE
        assert request.state_reason == "A budget of 12.00 USD/h would do. An SLO 1.5 times as loose would do."
        assert mapping.json_to_plan(request.plan.body).report.reasons == reasons

    def test_calls_a_plan_that_rents_nothing_infeasible(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        plan = make_plan([], prediction=None)
        assert _solve(request, lambda _r, _p: RentalAnswer(plan=plan, instance={}), now) == PlanState.INFEASIBLE

    def test_fails_when_the_time_was_too_short(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        plan = make_plan([], prediction=None)
        report = replace(plan.report, status=SolveStatus.NO_SOLUTION, objective=None, runtime_s=60.0)
        request = make_plan_request(PlanState.SOLVING)
        answer = RentalAnswer(plan=replace(plan, report=report), instance={})
        assert _solve(request, lambda _r, _p: answer, now) == PlanState.FAILED
        request.refresh_from_db()
        assert request.state_reason == "The solver ended without a plan after 60 s."

    def test_fails_with_the_planners_words(self, make_plan_request: MakePlanRequest, now: datetime) -> None:
        def compute(_rental: RentalRequest, _report: Report) -> RentalAnswer:
            raise EngineError("the solver broke down")

        request = make_plan_request(PlanState.SOLVING)
        assert _solve(request, compute, now) == PlanState.FAILED
        request.refresh_from_db()
        assert (request.state, request.state_reason) == (PlanState.FAILED, "the solver broke down")

    def test_fails_when_the_stored_model_cannot_be_read(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        ServedModel.objects.update(config={})
        assert _solve(request, lambda _r, _p: RentalAnswer(plan=make_plan(), instance={}), now) == PlanState.FAILED
        request.refresh_from_db()
        assert "architectures" in request.state_reason

    def test_replaces_the_plan_of_an_earlier_solve(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, planner: User, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.STALE)
        request = services.start_solve(actor=planner, plan_request_id=request.pk, now=now)
        cheaper = make_plan([("runpod:eu-1:L4:spot", 0.25)])
        _solve(request, lambda _r, _p: RentalAnswer(plan=cheaper, instance={}), now)
        assert planning_models.Plan.objects.get(request=request).usd_per_hour == Decimal("0.25")

    def test_changes_nothing_under_a_foreign_token(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        num_events = Event.objects.count()
        answer = RentalAnswer(plan=make_plan(), instance={})
        assert _solve(request, lambda _r, _p: answer, now, token="other") is None
        request.refresh_from_db()
        assert (request.state, planning_models.Plan.objects.count()) == (PlanState.SOLVING, 0)
        assert Event.objects.count() == num_events

    def test_changes_nothing_when_the_message_comes_twice(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        _solve(request, lambda _r, _p: RentalAnswer(plan=make_plan(), instance={}), now)
        num_events = Event.objects.count()
        second = RentalAnswer(plan=make_plan([]), instance={})
        assert _solve(request, lambda _r, _p: second, now + timedelta(seconds=9)) is None
        assert planning_models.Plan.objects.get().usd_per_hour == Decimal(40)
        assert Event.objects.count() == num_events

    def test_drops_the_answer_of_a_worker_that_was_overtaken(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)

        def compute(_rental: RentalRequest, _report: Report) -> RentalAnswer:
            PlanRequest.objects.filter(pk=request.pk).update(solve_token="newer")
            return RentalAnswer(plan=make_plan(), instance={})

        assert _solve(request, compute, now) is None
        request.refresh_from_db()
        assert (request.state, request.solve_token) == (PlanState.SOLVING, "newer")
        assert planning_models.Plan.objects.count() == 0

    def test_stops_an_overtaken_worker_at_its_next_report(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        reached: list[str] = []

        def compute(_rental: RentalRequest, report: Report) -> RentalAnswer:
            PlanRequest.objects.filter(pk=request.pk).update(solve_token="newer")
            report("solve", 0.5)
            reached.append("after the report")
            return RentalAnswer(plan=make_plan(), instance={})

        assert _solve(request, compute, now) is None
        assert reached == []

    @pytest.mark.django_db
    def test_ends_quietly_when_the_row_is_gone(self, make_plan: MakePlan, now: datetime) -> None:
        answer = RentalAnswer(plan=make_plan(), instance={})
        assert _solve(PlanRequest(pk=99, solve_token="t"), lambda _r, _p: answer, now) is None


class TestProgressReporter:
    """`ProgressReporter`..."""

    def test_stores_and_announces_progress(self, make_plan_request: MakePlanRequest, now: datetime) -> None:
        request = make_plan_request(PlanState.SOLVING)
        later = now + timedelta(seconds=4)
        reporter = solving.ProgressReporter(
            plan_request_id=request.pk, solve_token=request.solve_token, clock=lambda: 0.0, get_now=lambda: later
        )
        reporter("enumerate", 0.12345)
        request.refresh_from_db()
        said = {"phase": "enumerate", "fraction": 0.123, "text": "Listing configurations"}
        assert request.progress == {**said, "attempt": 1}
        assert request.updated_at == later
        event = Event.objects.latest("pk")
        assert (event.topic, event.kind, event.payload) == (f"plan-request:{request.pk}", "progress", said)

    def test_reports_at_most_four_times_a_second(self, make_plan_request: MakePlanRequest, now: datetime) -> None:
        request = make_plan_request(PlanState.SOLVING)
        ticks = iter(step / 100 for step in range(300))  # 3 s, a report every 10 ms
        reporter = solving.ProgressReporter(
            plan_request_id=request.pk, solve_token=request.solve_token, clock=lambda: next(ticks), get_now=lambda: now
        )
        for step in range(300):
            reporter("enumerate", step / 300)
        assert Event.objects.filter(kind="progress").count() == 12


class TestRace:
    """Two workers with the same message..."""

    @pytest.mark.slow
    @pytest.mark.row_locks
    @pytest.mark.django_db(transaction=True)
    def test_store_exactly_one_plan(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        barrier = threading.Barrier(2)
        reached: list[PlanState | None] = []

        def compute(_rental: RentalRequest, _report: Report) -> RentalAnswer:
            barrier.wait(timeout=20)
            return RentalAnswer(plan=make_plan(), instance={})

        def work() -> None:
            try:
                reached.append(_solve(request, compute, now))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)
        assert sorted(reached, key=str) == [None, PlanState.PRICED]
        assert planning_models.Plan.objects.count() == 1
        assert AuditEntry.objects.filter(action="plan-request.move", detail__to="priced").count() == 1
