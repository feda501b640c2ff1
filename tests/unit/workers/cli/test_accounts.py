"""People and tokens from the command line, on a real database."""

import io
import json
import sys

import pytest

from engine.errors import InvalidInputError
from webapp.core import tokens as core_tokens
from webapp.core.errors import ConflictError, NotFoundError
from webapp.core.models import AuditEntry, Role, User
from workers.cli.password import ask_password
from workers.cli.tokens import create_token
from workers.cli.users import create_user, set_password

PASSWORD = "correct-horse-battery"


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    """Give a password on standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    return PASSWORD


@pytest.mark.django_db
class TestCreateUser:
    def test_makes_a_person_with_a_role(self, password: str, capsys: pytest.CaptureFixture[str]) -> None:
        create_user("ada", role="approver", password_stdin=True)
        user = User.objects.get(username="ada")
        assert user.check_password(password)
        assert (user.role, user.is_staff, user.is_superuser) == (Role.APPROVER, True, False)
        assert capsys.readouterr().out == "User ada is made, with the role approver.\n"

    def test_refuses_a_role_that_does_not_exist(self, password: str) -> None:
        with pytest.raises(InvalidInputError, match="'boss' is not a role"):
            create_user("ada", role="boss", password_stdin=True)
        assert User.objects.count() == 0

    def test_refuses_a_short_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
        with pytest.raises(InvalidInputError) as caught:
            create_user("ada", role="viewer", password_stdin=True)
        assert caught.value.field == "password"
        assert User.objects.count() == 0

    def test_refuses_a_name_that_is_taken(self, password: str, viewer: User) -> None:
        with pytest.raises(ConflictError, match="there is a user called 'viewer' already"):
            create_user("viewer", role="admin", password_stdin=True)
        viewer.refresh_from_db()
        assert viewer.role == Role.VIEWER


@pytest.mark.django_db
class TestSetPassword:
    def test_replaces_the_password(self, password: str, viewer: User) -> None:
        set_password("viewer", password_stdin=True)
        viewer.refresh_from_db()
        assert viewer.check_password(password)
        assert AuditEntry.objects.get().action == "user.set-password"

    def test_refuses_an_unknown_name(self, password: str) -> None:
        with pytest.raises(NotFoundError, match="there is no user called 'ada'"):
            set_password("ada", password_stdin=True)


@pytest.mark.django_db
class TestCreateToken:
    def test_makes_a_token_that_works(self, planner: User, capsys: pytest.CaptureFixture[str]) -> None:
        create_token(user="planner", as_json=True)
        assert core_tokens.authenticate(json.loads(capsys.readouterr().out)["token"]) == planner

    def test_refuses_a_person_who_was_switched_off(self, planner: User) -> None:
        planner.is_active = False
        planner.save()
        with pytest.raises(NotFoundError):
            create_token(user="planner")


class TestAskPassword:
    def test_refuses_an_empty_pipe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        with pytest.raises(InvalidInputError, match="standard input is empty"):
            ask_password(from_stdin=True)
