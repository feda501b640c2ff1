"""Moving plan requests."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from webapp.core.errors import NotFoundError
from webapp.core.models import AuditEntry, Event, User
from webapp.planning import services, states
from webapp.planning.models import PlanRequest, PlanState

MakePlanRequest = Callable[..., PlanRequest]


class TestMove:
    """`move`..."""

    def test_changes_state_and_reason(self, make_plan_request: MakePlanRequest, now: datetime) -> None:
        request = make_plan_request(PlanState.APPROVED)
        later = now + timedelta(seconds=5)
        services.move(plan_request_id=request.pk, to=PlanState.FAILED, reason="no credentials", now=later)
        request.refresh_from_db()
        assert (request.state, request.state_reason) == (PlanState.FAILED, "no credentials")
        assert request.updated_at == later

    def test_writes_one_audit_row(self, make_plan_request: MakePlanRequest, planner: User, now: datetime) -> None:
        request = make_plan_request(PlanState.LIVE)
        services.move(plan_request_id=request.pk, to=PlanState.STOPPED, reason="asked", actor=planner, now=now)
        entry = AuditEntry.objects.filter(object_type="plan-request", object_id=str(request.pk)).latest("pk")
        assert (entry.action, entry.actor) == ("plan-request.move", planner)
        assert entry.detail == {"from": "live", "to": "stopped", "reason": "asked"}

    def test_tells_browsers(self, make_plan_request: MakePlanRequest, now: datetime) -> None:
        request = make_plan_request(PlanState.APPLYING)
        Event.objects.all().delete()
        services.move(plan_request_id=request.pk, to=PlanState.LIVE, now=now)
        assert list(Event.objects.order_by("pk").values_list("topic", "kind", "payload")) == [
            (f"plan-request:{request.pk}", "state", {"state": "live", "reason": ""}),
            ("plan-requests", "state", {"id": request.pk, "state": "live"}),
        ]

    @pytest.mark.parametrize("state", PlanState)
    def test_refuses_every_move_outside_the_table_and_changes_nothing(
        self, make_plan_request: MakePlanRequest, state: PlanState, now: datetime
    ) -> None:
        request = make_plan_request(PlanState.SOLVING)
        PlanRequest.objects.filter(pk=request.pk).update(state=state)
        num_entries, num_events = AuditEntry.objects.count(), Event.objects.count()
        for to in set(PlanState) - states.TRANSITIONS[state]:
            with pytest.raises(services.IllegalTransitionError) as caught:
                services.move(plan_request_id=request.pk, to=to, reason="x", now=now)
            assert caught.value.data == {"plan_request_id": request.pk, "state": state, "to": to}
        request.refresh_from_db()
        assert (request.state, request.state_reason) == (state, "")
        assert (AuditEntry.objects.count(), Event.objects.count()) == (num_entries, num_events)

    @pytest.mark.django_db
    def test_refuses_a_request_that_is_not_there(self, now: datetime) -> None:
        with pytest.raises(NotFoundError, match="no plan request 7"):
            services.move(plan_request_id=7, to=PlanState.SOLVING, now=now)
