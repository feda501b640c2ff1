"""The admin: who may enter what, and what a change of role brings."""

import pytest
from django.test import Client
from django.urls import reverse

from webapp.core.models import ApiToken, AuditEntry, Event, Role, User

MODELS = ("core_user", "core_auditentry", "core_apitoken", "core_event")
pytestmark = pytest.mark.django_db


def _open(user: User, url: str) -> int:
    client = Client()
    client.force_login(user)
    return client.get(url).status_code


class TestAccess:
    @pytest.mark.parametrize("model", MODELS)
    def test_is_for_admins(self, model: str, admin: User) -> None:
        assert _open(admin, reverse(f"admin:{model}_changelist")) == 200

    @pytest.mark.parametrize("model", MODELS)
    def test_is_not_for_approvers_although_they_may_enter(self, model: str, approver: User) -> None:
        approver.is_staff = True
        approver.save()
        assert _open(approver, reverse("admin:index")) == 200
        assert _open(approver, reverse(f"admin:{model}_changelist")) == 403

    @pytest.mark.parametrize("role", ["viewer", "planner"])
    def test_sends_others_to_the_sign_in(self, role: str, request: pytest.FixtureRequest) -> None:
        user = request.getfixturevalue(role)
        assert _open(user, reverse("admin:index")) == 302
        assert _open(user, reverse("admin:core_user_changelist")) == 302

    @pytest.mark.parametrize("model", ["core_auditentry", "core_apitoken", "core_event"])
    def test_lets_nobody_write_what_services_write(self, model: str, admin: User) -> None:
        assert _open(admin, reverse(f"admin:{model}_add")) == 403

    def test_deletes_nobody(self, admin: User, planner: User) -> None:
        assert _open(admin, reverse("admin:core_user_delete", args=[planner.pk])) == 403
        assert User.objects.filter(pk=planner.pk).exists()

    def test_shows_no_token_hash(self, admin: User, planner: User, now: object) -> None:
        token = ApiToken.objects.create(user=planner, name="ci", token_hash="f" * 64, created_at=now)
        client = Client()
        client.force_login(admin)
        page = client.get(reverse("admin:core_apitoken_change", args=[token.pk])).content.decode()
        assert "ci" in page
        assert "f" * 64 not in page

    def test_shows_one_event(self, admin: User, now: object) -> None:
        event = Event.objects.create(created_at=now, topic="market", kind="loaded", payload={})
        assert _open(admin, reverse("admin:core_event_change", args=[event.pk])) == 200


def _change(admin: User, user: User, **changes: object) -> None:
    client = Client()
    client.force_login(admin)
    data = {"username": user.username, "role": user.role, "is_active": "on", "date_joined_0": "2026-11-24",
            "date_joined_1": "12:00:00", **changes}  # fmt: skip
    answer = client.post(reverse("admin:core_user_change", args=[user.pk]), data)
    assert answer.status_code == 302, answer.context["adminform"].form.errors


class TestUserAdmin:
    def test_brings_the_flags_of_a_new_role(self, admin: User, planner: User) -> None:
        _change(admin, planner, role="approver")
        planner.refresh_from_db()
        assert (planner.role, planner.is_staff, planner.is_superuser) == (Role.APPROVER, True, False)

    def test_takes_everything_from_who_stops_being_admin(self, admin: User) -> None:
        other = User.objects.create_user(
            username="other", password="a-long-password", role=Role.ADMIN, is_staff=True, is_superuser=True
        )
        _change(admin, other, role="viewer")
        other.refresh_from_db()
        assert (other.role, other.is_staff, other.is_superuser) == (Role.VIEWER, False, False)

    def test_leaves_the_flags_when_the_role_stays(self, admin: User) -> None:
        root = User.objects.create_superuser(username="root", password="a-long-password")
        _change(admin, root, email="root@example.org")
        root.refresh_from_db()
        assert (root.email, root.role, root.is_superuser) == ("root@example.org", Role.VIEWER, True)

    def test_audits_a_change(self, admin: User, planner: User) -> None:
        _change(admin, planner, role="viewer")
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action, entry.object_id) == (admin, "user.change", str(planner.pk))
        assert (entry.detail["username"], entry.detail["role"]) == ("planner", "viewer")

    def test_makes_and_audits_people(self, admin: User) -> None:
        client = Client()
        client.force_login(admin)
        password = "correct horse battery"
        data = {"username": "ada", "role": "approver", "password1": password, "password2": password,
                "usable_password": "true"}  # fmt: skip
        answer = client.post(reverse("admin:core_user_add"), data)
        assert answer.status_code == 302, answer.context["adminform"].form.errors
        user = User.objects.get(username="ada")
        assert (user.role, user.is_staff, user.check_password(password)) == (Role.APPROVER, True, True)
        assert AuditEntry.objects.get().action == "user.create"

    def test_audits_a_new_password(self, admin: User, planner: User) -> None:
        client = Client()
        client.force_login(admin)
        password = "correct horse battery"
        data = {"password1": password, "password2": password, "usable_password": "true"}
        url = reverse("admin:auth_user_password_change", args=[planner.pk])
        assert client.post(url, data).status_code == 302
        planner.refresh_from_db()
        assert planner.check_password(password)
        assert AuditEntry.objects.get().action == "user.change"
        assert password not in str(AuditEntry.objects.get().detail)
