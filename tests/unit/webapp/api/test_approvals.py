"""REST of approvals: every kind of actor, one decision, refusals."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.http import HttpResponse

from engine.domain.offer import Offer
from webapp.approvals import services
from webapp.approvals.models import Decision
from webapp.core.models import Role, User
from webapp.planning.models import PlanRequest, PlanState

MakePlanRequest = Callable[..., PlanRequest]
Call = Callable[..., HttpResponse]


def _take(found: list[dict[str, object]]) -> Callable[..., None]:
    def send(_name: str, **kwargs: object) -> None:
        del kwargs["queue"]
        found.append(kwargs)

    return send


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Collect what is queued to be applied."""
    found: list[dict[str, object]] = []
    monkeypatch.setattr(services, "send_task", _take(found))
    return found


@pytest.fixture
def fresh_request(make_plan_request: MakePlanRequest) -> PlanRequest:
    """A plan that waits for a decision."""
    return make_plan_request(PlanState.AWAITING_APPROVAL)


@pytest.mark.django_db
class TestPolicies:
    """`GET /policies`..."""

    @pytest.mark.parametrize("role", ["viewer", "planner", "approver", "admin"])
    def test_shows_them_to_every_role(
        self, call: Call, role: str, request: pytest.FixtureRequest, now: datetime
    ) -> None:
        services.ensure_default_policy(now=now)
        (policy,) = call(request.getfixturevalue(role), "/policies").json()
        del policy["id"]
        assert policy == {
            "name": "Small local plans",
            "is_enabled": True,
            "max_usd_per_hour": None,
            "allowed_providers": [],
            "allowed_regions": [],
            "self_approve_below_usd_per_hour": 1.0,
            "self_approve_providers": ["local"],
        }

    def test_is_closed_to_strangers(self, call: Call) -> None:
        assert call(None, "/policies").status_code == 401


class TestDecisions:
    """`POST /plan-requests/{id}/approve` and `/reject`..."""

    @pytest.mark.parametrize("role", ["approver", "admin"])
    @pytest.mark.parametrize(("verb", "state"), [("approve", PlanState.APPROVED), ("reject", PlanState.REJECTED)])
    def test_take_the_decision_of_approvers_and_admins(
        self,
        call: Call,
        fresh_request: PlanRequest,
        sent: list[dict[str, object]],
        role: str,
        verb: str,
        state: PlanState,
        request: pytest.FixtureRequest,
    ) -> None:
        user = request.getfixturevalue(role)
        response = call(user, f"/plan-requests/{fresh_request.pk}/{verb}", {"comment": "because"})
        assert response.status_code == 200
        found = response.json()
        assert (found["verdict"], found["decided_by"], found["policy"], found["comment"]) == (
            state,
            role,
            "",
            "because",
        )
        fresh_request.refresh_from_db()
        assert fresh_request.state == state
        assert sent == ([{"plan_request_id": fresh_request.pk}] if verb == "approve" else [])
        shown = call(user, f"/plan-requests/{fresh_request.pk}").json()
        assert (shown["decision"], shown["can_solve"]) == (found, verb == "reject")

    @pytest.mark.parametrize("role", ["viewer", "planner", "author", None])
    @pytest.mark.parametrize("verb", ["approve", "reject"])
    def test_refuse_everybody_else_and_change_nothing(
        self,
        call: Call,
        fresh_request: PlanRequest,
        sent: list[dict[str, object]],
        role: str | None,
        verb: str,
        request: pytest.FixtureRequest,
    ) -> None:
        user = None if role is None else request.getfixturevalue(role)
        response = call(user, f"/plan-requests/{fresh_request.pk}/{verb}", {"comment": "mine"})
        assert response.status_code == (401 if user is None else 403)
        fresh_request.refresh_from_db()
        assert (fresh_request.state, Decision.objects.count(), sent) == (PlanState.AWAITING_APPROVAL, 0, [])

    @pytest.mark.parametrize("verb", ["approve", "reject"])
    def test_refuse_the_author_who_is_an_admin(
        self, call: Call, fresh_request: PlanRequest, author: User, sent: list[dict[str, object]], verb: str
    ) -> None:
        author.role = Role.ADMIN
        author.save()
        response = call(author, f"/plan-requests/{fresh_request.pk}/{verb}", {})
        assert (response.status_code, response.json()["error"]["code"]) == (403, "self_approval")
        fresh_request.refresh_from_db()
        assert (fresh_request.state, Decision.objects.count(), sent) == (PlanState.AWAITING_APPROVAL, 0, [])

    def test_refuse_a_second_decision(
        self, call: Call, fresh_request: PlanRequest, approver: User, admin: User, sent: list[dict[str, object]]
    ) -> None:
        assert call(approver, f"/plan-requests/{fresh_request.pk}/approve", {}).status_code == 200
        response = call(admin, f"/plan-requests/{fresh_request.pk}/reject", {})
        assert (response.status_code, response.json()["error"]["code"]) == (409, "not_awaiting_approval")
        assert (Decision.objects.get().decided_by, len(sent)) == (approver, 1)

    @pytest.mark.parametrize("verb", ["approve", "reject"])
    def test_refuse_a_plan_other_than_the_one_seen(
        self, call: Call, fresh_request: PlanRequest, approver: User, sent: list[dict[str, object]], verb: str
    ) -> None:
        path, seen = f"/plan-requests/{fresh_request.pk}/{verb}", fresh_request.plan.pk
        response = call(approver, path, {"plan_id": seen + 1})
        assert (response.status_code, response.json()["error"]["code"]) == (409, "plan_changed")
        fresh_request.refresh_from_db()
        assert (fresh_request.state, Decision.objects.count(), sent) == (PlanState.AWAITING_APPROVAL, 0, [])
        assert call(approver, path, {"plan_id": seen}).status_code == 200

    def test_refuse_a_plan_the_market_moved_away_from(
        self, call: Call, fresh_request: PlanRequest, approver: User, load_offer: Callable[..., Offer], now: datetime
    ) -> None:
        load_offer(usd_per_hour=60.0, observed_at=now)
        response = call(approver, f"/plan-requests/{fresh_request.pk}/approve", {})
        assert (response.status_code, response.json()["error"]["code"]) == (409, "stale_plan")
        shown = call(approver, f"/plan-requests/{fresh_request.pk}").json()
        assert (shown["state"], shown["can_solve"]) == ("stale", True)
        assert "went from 40 to 60 USD/h" in shown["state_reason"]

    @pytest.mark.parametrize("body", [{"comment": 3}, {"comment": "x" * 1001}, {"note": "x"}])
    def test_refuse_a_body_they_do_not_know(
        self, call: Call, fresh_request: PlanRequest, approver: User, body: dict[str, object]
    ) -> None:
        assert call(approver, f"/plan-requests/{fresh_request.pk}/approve", body).status_code == 422
        assert Decision.objects.count() == 0

    @pytest.mark.parametrize("verb", ["approve", "reject"])
    def test_answer_404_for_what_is_not_there(self, call: Call, approver: User, verb: str) -> None:
        assert call(approver, f"/plan-requests/5/{verb}", {}).status_code == 404
