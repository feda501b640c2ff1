"""Approvals: the queue, past decisions, policies, and deciding on a plan's page."""

from datetime import datetime
from typing import Any

import pytest

from webapp.approvals import services
from webapp.approvals.models import Decision
from webapp.core.models import Role, User
from webapp.planning.models import PlanRequest


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans that never go stale, and that are decided inside a test's transaction."""
    monkeypatch.setattr(services.planning_services, "check_fresh", lambda **_given: None)


class TestPage:
    def test_shows_what_waits(self, browse: Any, viewer: User, awaiting: PlanRequest) -> None:
        assert [row.id for row in browse(viewer).get("/approvals/").context["awaiting"]] == [awaiting.pk]

    def test_shows_past_decisions_and_policies(
        self, browse: Any, approver: User, awaiting: PlanRequest, fresh: None, now: datetime
    ) -> None:
        services.ensure_default_policy(now=now)
        services.reject(actor=approver, plan_request_id=awaiting.pk, comment="too dear", now=now)
        text = browse(approver).get("/approvals/").content.decode()
        for words in ("Nothing waits", "Rejected", "too dear", "Small local plans", "below $1.00 per hour"):
            assert words in text

    def test_links_admins_to_the_policies(self, browse: Any, admin: User, approver: User) -> None:
        assert "/admin/approvals/policy/" in browse(admin).get("/approvals/").content.decode()
        assert "/admin/approvals/policy/" not in browse(approver).get("/approvals/").content.decode()


class TestDeciding:
    def test_approves_with_a_comment(self, browse: Any, approver: User, awaiting: PlanRequest, fresh: None) -> None:
        response = browse(approver).post(f"/plans/{awaiting.pk}/approve/", {"comment": " fine "}, follow=True)
        decision = Decision.objects.get()
        assert (decision.verdict, decision.decided_by, decision.comment) == ("approved", approver, "fine")
        awaiting.refresh_from_db()
        assert awaiting.state == "approved"
        assert "Approved. The plan is being applied." in response.content.decode()

    def test_survives_a_plan_that_is_an_endless_number(
        self, browse: Any, approver: User, awaiting: PlanRequest
    ) -> None:
        answer = browse(approver).post(f"/plans/{awaiting.pk}/reject/", {"comment": "no", "plan_id": "9" * 5000})
        assert answer.status_code == 302

    def test_rejects_with_a_comment(self, browse: Any, approver: User, awaiting: PlanRequest) -> None:
        browse(approver).post(f"/plans/{awaiting.pk}/reject/", {"comment": "too dear"})
        awaiting.refresh_from_db()
        assert (awaiting.state, awaiting.state_reason) == ("rejected", "too dear")

    @pytest.mark.parametrize(("verb", "path"), [("approve", "approve"), ("reject", "reject")])
    def test_makes_one_call(
        self, browse: Any, approver: User, awaiting: PlanRequest, monkeypatch: pytest.MonkeyPatch, verb: str, path: str
    ) -> None:
        calls: list[dict[str, Any]] = []
        monkeypatch.setattr(services, verb, lambda **given: calls.append(given))
        browse(approver).post(f"/plans/{awaiting.pk}/{path}/", {"comment": "x" * 2000})
        assert [(call["actor"], call["plan_request_id"], call["comment"]) for call in calls] == [
            (approver, awaiting.pk, "x" * 1000)
        ]

    def test_is_offered_to_who_may_decide(self, browse: Any, approver: User, awaiting: PlanRequest) -> None:
        text = browse(approver).get(f"/plans/{awaiting.pk}/").content.decode()
        assert f'action="/plans/{awaiting.pk}/approve/"' in text
        assert f'formaction="/plans/{awaiting.pk}/reject/"' in text

    def test_tells_others_why_not(self, browse: Any, viewer: User, awaiting: PlanRequest) -> None:
        text = browse(viewer).get(f"/plans/{awaiting.pk}/").content.decode()
        assert "Your role (viewer) does not include approvals.decide" in text
        assert "/approve/" not in text

    def test_tells_the_author_why_not(self, browse: Any, author: User, awaiting: PlanRequest) -> None:
        User.objects.filter(pk=author.pk).update(role=Role.APPROVER)
        client = browse(author)
        assert "is your own; someone else must decide it" in client.get(f"/plans/{awaiting.pk}/").content.decode()
        response = client.post(f"/plans/{awaiting.pk}/approve/", follow=True)
        assert "is your own; someone else must decide it" in response.content.decode()
        assert Decision.objects.count() == 0
