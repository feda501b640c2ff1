"""The own account: tokens shown once and revoked, the password, and nothing of other people."""

from datetime import datetime
from typing import Any

from webapp.core import tokens
from webapp.core.models import ApiToken, AuditEntry, User


class TestTokens:
    def test_are_shown_once(self, browse: Any, viewer: User) -> None:
        client = browse(viewer)
        response = client.post("/account/tokens/", {"name": "ci"})
        plaintext = response.context["plaintext"]
        assert tokens.authenticate(plaintext) == viewer
        assert response.headers["Cache-Control"] == "no-store"
        assert plaintext not in client.get("/account/").content.decode()

    def test_need_a_name(self, browse: Any, viewer: User) -> None:
        assert browse(viewer).post("/account/tokens/", {"name": ""}).status_code == 422
        assert ApiToken.objects.count() == 0

    def test_are_listed_for_their_owner_only(self, browse: Any, viewer: User, planner: User, now: datetime) -> None:
        tokens.create_token(actor=viewer, user=viewer, name="of-viewer", now=now)
        assert "of-viewer" in browse(viewer).get("/account/").content.decode()
        assert "of-viewer" not in browse(planner).get("/account/").content.decode()

    def test_are_revoked_by_their_owner(self, browse: Any, viewer: User, now: datetime) -> None:
        token, plaintext = tokens.create_token(actor=viewer, user=viewer, name="ci", now=now)
        browse(viewer).post(f"/account/tokens/{token.pk}/revoke/")
        assert tokens.authenticate(plaintext) is None

    def test_of_others_stay_even_for_admins(self, browse: Any, viewer: User, admin: User, now: datetime) -> None:
        token, plaintext = tokens.create_token(actor=viewer, user=viewer, name="ci", now=now)
        response = browse(admin).post(f"/account/tokens/{token.pk}/revoke/", follow=True)
        assert f"You have no API token {token.pk}" in response.content.decode()
        assert tokens.authenticate(plaintext) == viewer


class TestPassword:
    _FIELDS = {
        "old_password": "a-long-password",
        "new_password1": "another-long-one",
        "new_password2": "another-long-one",
    }

    def test_is_changed_and_the_session_stays(self, browse: Any, viewer: User) -> None:
        client = browse(viewer)
        response = client.post("/account/password/", self._FIELDS, follow=True)
        assert "The password is changed" in response.content.decode()
        viewer.refresh_from_db()
        assert viewer.check_password("another-long-one")
        assert AuditEntry.objects.filter(action="user.set-password", actor=viewer).count() == 1

    def test_ends_other_sessions(self, browse: Any, viewer: User) -> None:
        other = browse(viewer)
        browse(viewer).post("/account/password/", self._FIELDS)
        assert other.get("/account/").status_code == 302

    def test_stays_when_the_old_one_is_wrong(self, browse: Any, viewer: User) -> None:
        response = browse(viewer).post("/account/password/", {**self._FIELDS, "old_password": "guessed"})
        assert response.status_code == 422
        assert set(response.context["password_form"].errors) == {"old_password"}
        viewer.refresh_from_db()
        assert viewer.check_password("a-long-password")

    def test_must_be_long(self, browse: Any, viewer: User) -> None:
        short = {**self._FIELDS, "new_password1": "short", "new_password2": "short"}
        response = browse(viewer).post("/account/password/", short)
        assert set(response.context["password_form"].errors) == {"new_password2"}
