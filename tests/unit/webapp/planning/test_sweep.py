"""Finding the solves whose worker died."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from engine.domain.plan import Plan
from engine.planners.rental.request import RentalAnswer
from webapp.core.models import AuditEntry
from webapp.planning import services, solving
from webapp.planning.models import PlanRequest, PlanState

MakePlan = Callable[..., Plan]
MakePlanRequest = Callable[..., PlanRequest]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, object]]]:
    """Collect what is queued."""
    found: list[tuple[str, str, dict[str, object]]] = []
    monkeypatch.setattr(solving, "send_task", lambda name, *, queue, **kwargs: found.append((name, queue, kwargs)))
    return found


def _begin(request: PlanRequest, now: datetime) -> None:
    """Report as a worker does that took the message."""
    solving.record_progress(
        plan_request_id=request.pk, solve_token=request.solve_token, phase="solve", fraction=0.5, now=now
    )


class TestSweepSolves:
    """`sweep_solves`..."""

    def test_queues_what_a_dead_worker_began_under_a_new_token(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan, sent: list[object], now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        _begin(request, now)
        sent.clear()
        later = now + solving.SOLVE_LEASE
        assert services.sweep_solves(now=later) == [request.pk]
        old_token = request.solve_token
        request.refresh_from_db()
        assert (request.state, request.updated_at) == (PlanState.SOLVING, later)
        assert (request.progress["phase"], request.progress["attempt"]) == ("queued", 2)
        assert request.solve_token != old_token
        kwargs = {"plan_request_id": request.pk, "solve_token": request.solve_token}
        assert sent == [("planning.solve", "solve", kwargs)]
        entry = AuditEntry.objects.get(action="plan-request.requeue")
        assert (entry.object_id, entry.detail) == (str(request.pk), {"attempt": 2})
        answer = RentalAnswer(plan=make_plan(), instance={})
        with pytest.raises(solving.SolveOvertakenError):
            solving.load_solve(plan_request_id=request.pk, solve_token=old_token, now=later)
        job = solving.load_solve(plan_request_id=request.pk, solve_token=request.solve_token, now=later)
        assert solving.apply_answer(job=job, answer=answer, now=later) == PlanState.PRICED

    def test_sends_what_still_waits_once_more_under_its_token(
        self, make_plan_request: MakePlanRequest, sent: list[object], now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        kwargs = {"plan_request_id": request.pk, "solve_token": request.solve_token}
        for turn in range(1, 6):
            services.sweep_solves(now=now + turn * solving.SOLVE_LEASE)
        request.refresh_from_db()
        assert (request.state, request.progress["attempt"]) == (PlanState.SOLVING, 1)
        assert sent == [("planning.solve", "solve", kwargs)] * 6

    def test_leaves_a_solve_that_shows_signs_of_life(
        self, make_plan_request: MakePlanRequest, sent: list[object], now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        sent.clear()
        _begin(request, now + timedelta(seconds=60))
        assert services.sweep_solves(now=now + timedelta(seconds=149)) == []
        assert services.sweep_solves(now=now + timedelta(seconds=150)) == [request.pk]
        assert len(sent) == 1

    @pytest.mark.parametrize("state", [state for state in PlanState if state != PlanState.SOLVING])
    def test_leaves_every_other_state(
        self, make_plan_request: MakePlanRequest, state: PlanState, sent: list[object], now: datetime
    ) -> None:
        request = make_plan_request()
        PlanRequest.objects.filter(pk=request.pk).update(state=state)
        assert services.sweep_solves(now=now + timedelta(days=1)) == []
        assert sent == []

    def test_gives_up_on_a_request_that_ends_every_worker(
        self, make_plan_request: MakePlanRequest, sent: list[object], now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        for attempt in (1, 2, 3):
            request.refresh_from_db()
            _begin(request, now + (attempt - 1) * solving.SOLVE_LEASE)
            services.sweep_solves(now=now + attempt * solving.SOLVE_LEASE)
        request.refresh_from_db()
        assert (request.state, request.solve_token) == (PlanState.FAILED, "")
        assert request.state_reason == "Solving it ended 3 workers; the log of the solver says how."
        assert len(sent) == 3
