"""Approving and editing policies in the Django admin."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from webapp.approvals import services
from webapp.approvals.models import Decision, Policy
from webapp.core.models import AuditEntry, User
from webapp.planning.models import PlanRequest, PlanState

MakePlanRequest = Callable[..., PlanRequest]

_LIST = "/admin/approvals/awaitingplanrequest/"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of queued tasks."""
    found: list[str] = []
    monkeypatch.setattr(services, "send_task", lambda name, **_kwargs: found.append(name))
    return found


@pytest.fixture
def staff_approver(approver: User) -> User:
    """An approver as the console makes them: with access to the admin."""
    approver.is_staff = True
    approver.save()
    return approver


@pytest.fixture
def awaiting(make_plan_request: MakePlanRequest) -> PlanRequest:
    """A request that waits for a decision."""
    return make_plan_request(PlanState.AWAITING_APPROVAL)


def _post(client: Client, action: str, *requests: PlanRequest, comment: str = "") -> HttpResponse:
    chosen = [request.pk for request in requests]
    seen = {f"plan-of-{request.pk}": request.plan.pk for request in requests}
    form = {"action": action, "_selected_action": chosen, "comment": comment, "select_across": "0"}
    return client.post(_LIST, form | seen)


def _list_messages(response: HttpResponse) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


class TestAwaitingPlanRequests:
    """The page of plans that await approval..."""

    def test_lists_only_those_with_the_actions_and_a_comment(
        self, client: Client, staff_approver: User, awaiting: PlanRequest, make_plan_request: MakePlanRequest
    ) -> None:
        other = make_plan_request(PlanState.LIVE, deployment_name="other")
        client.force_login(staff_approver)
        page = client.get(_LIST).content.decode()
        assert f"plan request {awaiting.pk} for chat" in page
        assert f"plan request {other.pk} for other" not in page
        assert "40.00" in page
        assert 'value="approve_selected"' in page
        assert 'value="reject_selected"' in page
        assert 'name="comment"' in page
        assert f'<input type="hidden" name="plan-of-{awaiting.pk}" value="{awaiting.plan.pk}">' in page

    def test_shows_one_plan_request(self, client: Client, staff_approver: User, awaiting: PlanRequest) -> None:
        client.force_login(staff_approver)
        page = client.get(f"{_LIST}{awaiting.pk}/change/")
        assert page.status_code == 200
        assert "solve_token" not in page.content.decode()

    def test_approves_with_the_comment(
        self, client: Client, staff_approver: User, awaiting: PlanRequest, sent: list[str]
    ) -> None:
        client.force_login(staff_approver)
        response = _post(client, "approve_selected", awaiting, comment=" good price ")
        awaiting.refresh_from_db()
        assert (response.status_code, awaiting.state) == (302, PlanState.APPROVED)
        decision = Decision.objects.get()
        assert (decision.decided_by, decision.comment) == (staff_approver, "good price")
        assert AuditEntry.objects.get(action="plan-request.approve").actor == staff_approver
        assert sent == ["deployments.apply"]
        assert _list_messages(response) == [f"plan request {awaiting.pk} for chat is approved."]

    @pytest.mark.parametrize("action", ["approve_selected", "reject_selected"])
    def test_refuses_a_plan_that_was_solved_again_after_the_page_was_shown(
        self, client: Client, staff_approver: User, awaiting: PlanRequest, action: str, sent: list[str]
    ) -> None:
        client.force_login(staff_approver)
        awaiting.plan.pk -= 1  # what the page showed
        response = _post(client, action, awaiting)
        awaiting.refresh_from_db()
        assert (awaiting.state, Decision.objects.count(), sent) == (PlanState.AWAITING_APPROVAL, 0, [])
        assert any("was solved again after you saw its plan" in message for message in _list_messages(response))

    def test_refuses_a_row_whose_plan_nobody_saw(
        self, client: Client, staff_approver: User, awaiting: PlanRequest, sent: list[str]
    ) -> None:
        client.force_login(staff_approver)
        form = {"action": "approve_selected", "_selected_action": [awaiting.pk], "select_across": "0"}
        response = client.post(_LIST, form)
        awaiting.refresh_from_db()
        assert (awaiting.state, Decision.objects.count(), sent) == (PlanState.AWAITING_APPROVAL, 0, [])
        assert any("says no plan" in message for message in _list_messages(response))

    def test_rejects_with_the_comment(
        self, client: Client, staff_approver: User, awaiting: PlanRequest, sent: list[str]
    ) -> None:
        client.force_login(staff_approver)
        _post(client, "reject_selected", awaiting, comment="too dear")
        awaiting.refresh_from_db()
        assert (awaiting.state, awaiting.state_reason, sent) == (PlanState.REJECTED, "too dear", [])

    def test_decides_the_others_when_one_is_refused(
        self,
        client: Client,
        staff_approver: User,
        awaiting: PlanRequest,
        make_plan_request: MakePlanRequest,
        sent: list[str],
    ) -> None:
        own = make_plan_request(PlanState.AWAITING_APPROVAL, deployment_name="own")
        PlanRequest.objects.filter(pk=own.pk).update(author=staff_approver)
        client.force_login(staff_approver)
        response = _post(client, "approve_selected", own, awaiting)
        states = {pk: PlanRequest.objects.get(pk=pk).state for pk in (own.pk, awaiting.pk)}
        assert states == {own.pk: PlanState.AWAITING_APPROVAL, awaiting.pk: PlanState.APPROVED}
        assert sent == ["deployments.apply"]
        assert any("is your own" in message for message in _list_messages(response))

    @pytest.mark.parametrize("role", ["viewer", "planner"])
    def test_offers_no_action_to_other_roles_even_with_access_to_the_admin(
        self, client: Client, awaiting: PlanRequest, role: str, request: pytest.FixtureRequest, sent: list[str]
    ) -> None:
        user = request.getfixturevalue(role)
        user.is_staff = True
        user.save()
        client.force_login(user)
        assert 'value="approve_selected"' not in client.get(_LIST).content.decode()
        _post(client, "approve_selected", awaiting)
        awaiting.refresh_from_db()
        assert (awaiting.state, Decision.objects.count(), sent) == (PlanState.AWAITING_APPROVAL, 0, [])

    def test_is_closed_to_strangers_and_people_without_access(
        self, client: Client, awaiting: PlanRequest, approver: User, sent: list[str]
    ) -> None:
        for user in (None, approver):
            if user is not None:
                client.force_login(user)
            response = _post(client, "approve_selected", awaiting)
            assert response.status_code == 302
            assert response.url.startswith("/admin/login/")
        awaiting.refresh_from_db()
        assert (awaiting.state, Decision.objects.count(), sent) == (PlanState.AWAITING_APPROVAL, 0, [])

    def test_offers_no_deletion(self, client: Client, admin: User, awaiting: PlanRequest) -> None:
        client.force_login(admin)
        assert 'value="delete_selected"' not in client.get(_LIST).content.decode()
        assert client.post(f"{_LIST}{awaiting.pk}/delete/", {"post": "yes"}).status_code == 403
        assert PlanRequest.objects.filter(pk=awaiting.pk).exists()


class TestPolicies:
    """The page of policies..."""

    _FORM = {
        "name": "Cap",
        "is_enabled": "on",
        "max_usd_per_hour": "30",
        "allowed_providers": '["aws"]',
        "allowed_regions": "[]",
        "self_approve_below_usd_per_hour": "",
        "self_approve_providers": "[]",
    }

    def test_lets_admins_add_change_and_delete(self, client: Client, admin: User) -> None:
        client.force_login(admin)
        client.post(reverse("admin:approvals_policy_add"), self._FORM)
        policy = Policy.objects.get()
        assert (policy.name, policy.max_usd_per_hour, policy.allowed_providers) == ("Cap", Decimal(30), ["aws"])
        client.post(reverse("admin:approvals_policy_change", args=[policy.pk]), {**self._FORM, "name": "Limit"})
        policy.refresh_from_db()
        assert policy.name == "Limit"
        client.post(reverse("admin:approvals_policy_delete", args=[policy.pk]), {"post": "yes"})
        assert Policy.objects.count() == 0
        actions = AuditEntry.objects.filter(object_type="policy").order_by("pk").values_list("action", flat=True)
        assert list(actions) == ["policy.create", "policy.change", "policy.delete"]

    def test_names_the_field_that_cannot_be_used(self, client: Client, admin: User) -> None:
        client.force_login(admin)
        response = client.post(reverse("admin:approvals_policy_add"), {**self._FORM, "allowed_providers": '"aws"'})
        assert "Give a list of words" in response.content.decode()
        assert Policy.objects.count() == 0

    def test_is_read_only_for_approvers(self, client: Client, staff_approver: User, now: datetime) -> None:
        services.ensure_default_policy(now=now)
        policy = Policy.objects.get()
        client.force_login(staff_approver)
        url = reverse("admin:approvals_policy_change", args=[policy.pk])
        assert client.get(url).status_code == 200
        assert client.post(url, self._FORM).status_code == 403
        assert client.get(reverse("admin:approvals_policy_add")).status_code == 403
        policy.refresh_from_db()
        assert policy.name == services.DEFAULT_POLICY

    def test_shows_decisions(
        self, client: Client, staff_approver: User, awaiting: PlanRequest, sent: list[str], now: datetime
    ) -> None:
        services.approve(actor=staff_approver, plan_request_id=awaiting.pk, comment="fine", now=now)
        client.force_login(staff_approver)
        page = client.get(reverse("admin:approvals_decision_changelist")).content.decode()
        assert f"plan of request {awaiting.pk}" in page
        assert "fine" in page
