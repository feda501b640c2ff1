"""People: made, and given passwords."""

from datetime import datetime

import pytest
from django.contrib.auth import authenticate

from engine.errors import InvalidInputError
from webapp.core import services
from webapp.core.errors import ConflictError, NotFoundError
from webapp.core.models import AuditEntry, Role, User

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


class TestCreateUser:
    @pytest.mark.parametrize(
        ("role", "is_staff", "is_superuser"),
        [
            (Role.VIEWER, False, False),
            (Role.PLANNER, False, False),
            (Role.APPROVER, True, False),
            (Role.ADMIN, True, True),
        ],
    )
    def test_opens_the_admin_by_role(self, role: Role, is_staff: bool, is_superuser: bool, now: datetime) -> None:
        services.create_user(actor=None, username="ada", password=PASSWORD, role=role, now=now)
        user = User.objects.get(username="ada")
        assert (user.role, user.is_staff, user.is_superuser) == (role, is_staff, is_superuser)
        assert authenticate(username="ada", password=PASSWORD) == user

    def test_is_audited_without_the_password(self, admin: User, now: datetime) -> None:
        user = services.create_user(actor=admin, username="ada", password=PASSWORD, role=Role.PLANNER, now=now)
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action, entry.object_id) == (admin, "user.create", str(user.pk))
        assert entry.detail == {"username": "ada", "role": "planner"}

    def test_lets_nobody_in_without_a_password(self, now: datetime) -> None:
        user = services.create_user(actor=None, username="demo", password=None, role=Role.PLANNER, now=now)
        assert not user.has_usable_password()

    @pytest.mark.parametrize(
        ("username", "password", "field"),
        [("ada", "short", "password"), ("", PASSWORD, "username"), ("ada lovelace", PASSWORD, "username"),
         ("a" * 151, PASSWORD, "username")],
    )  # fmt: skip
    def test_names_what_it_refuses(self, username: str, password: str, field: str, now: datetime) -> None:
        with pytest.raises(InvalidInputError) as error:
            services.create_user(actor=None, username=username, password=password, role=Role.VIEWER, now=now)
        assert error.value.field == field
        assert User.objects.count() == AuditEntry.objects.count() == 0

    def test_refuses_a_name_that_is_taken(self, planner: User, now: datetime) -> None:
        with pytest.raises(ConflictError, match="called 'planner' already"):
            services.create_user(actor=None, username="planner", password=PASSWORD, role=Role.ADMIN, now=now)
        assert User.objects.get().role == Role.PLANNER


class TestSetPassword:
    def test_replaces_the_old_one(self, planner: User, now: datetime) -> None:
        services.set_password(actor=None, username="planner", password=PASSWORD, now=now)
        assert authenticate(username="planner", password=PASSWORD) == planner
        assert authenticate(username="planner", password="a-long-password") is None
        assert AuditEntry.objects.get().action == "user.set-password"

    def test_keeps_the_old_one_when_it_refuses(self, planner: User, now: datetime) -> None:
        with pytest.raises(InvalidInputError) as error:
            services.set_password(actor=None, username="planner", password="short", now=now)
        assert error.value.field == "password"
        assert authenticate(username="planner", password="a-long-password") == planner
        assert AuditEntry.objects.count() == 0

    def test_names_who_it_does_not_find(self, now: datetime) -> None:
        with pytest.raises(NotFoundError, match="no user called 'eve'"):
            services.set_password(actor=None, username="eve", password=PASSWORD, now=now)
