"""API tokens."""

from datetime import datetime, timedelta

import pytest

from webapp.core import tokens
from webapp.core.errors import NotFoundError
from webapp.core.models import ApiToken, AuditEntry, User

pytestmark = pytest.mark.django_db


class TestCreateToken:
    def test_keeps_only_a_hash(self, admin: User, planner: User, now: datetime) -> None:
        token, plaintext = tokens.create_token(actor=admin, user=planner, name="ci", now=now)
        assert plaintext.startswith("mdt_")
        assert len(plaintext) == 47
        kept = ApiToken.objects.get()
        assert (kept.pk, kept.user, kept.name) == (token.pk, planner, "ci")
        assert kept.token_hash == tokens.hash_token(plaintext)
        assert plaintext not in str(list(ApiToken.objects.values()))

    def test_is_audited_without_the_secret(self, admin: User, planner: User, now: datetime) -> None:
        token, plaintext = tokens.create_token(actor=admin, user=planner, name="ci", now=now)
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action, entry.object_id) == (admin, "api-token.create", str(token.pk))
        assert entry.detail == {"name": "ci", "user": "planner"}

    def test_never_gives_the_same_twice(self, planner: User, now: datetime) -> None:
        made = {tokens.create_token(actor=None, user=planner, name="ci", now=now)[1] for _ in range(5)}
        assert len(made) == 5


class TestAuthenticate:
    def test_finds_the_owner(self, planner: User, now: datetime) -> None:
        _, plaintext = tokens.create_token(actor=None, user=planner, name="ci", now=now)
        assert tokens.authenticate(plaintext) == planner

    @pytest.mark.parametrize("plaintext", ["", "mdt_wrong", "x" * 10_000])
    def test_knows_no_stranger(self, plaintext: str, planner: User, now: datetime) -> None:
        tokens.create_token(actor=None, user=planner, name="ci", now=now)
        assert tokens.authenticate(plaintext) is None

    def test_refuses_a_hash_in_place_of_the_token(self, planner: User, now: datetime) -> None:
        token, _ = tokens.create_token(actor=None, user=planner, name="ci", now=now)
        assert tokens.authenticate(token.token_hash) is None

    def test_refuses_people_switched_off(self, planner: User, now: datetime) -> None:
        _, plaintext = tokens.create_token(actor=None, user=planner, name="ci", now=now)
        planner.is_active = False
        planner.save()
        assert tokens.authenticate(plaintext) is None


class TestRevokeToken:
    def test_ends_a_token_for_good(self, admin: User, planner: User, now: datetime) -> None:
        token, plaintext = tokens.create_token(actor=None, user=planner, name="ci", now=now)
        revoked = tokens.revoke_token(actor=admin, token_id=token.pk, now=now)
        assert revoked.revoked_at == now
        assert tokens.authenticate(plaintext) is None
        assert AuditEntry.objects.filter(action="api-token.revoke", actor=admin).count() == 1

    def test_changes_nothing_the_second_time(self, admin: User, planner: User, now: datetime) -> None:
        token, _ = tokens.create_token(actor=None, user=planner, name="ci", now=now)
        tokens.revoke_token(actor=admin, token_id=token.pk, now=now)
        again = tokens.revoke_token(actor=admin, token_id=token.pk, now=now + timedelta(hours=1))
        assert again.revoked_at == now
        assert AuditEntry.objects.filter(action="api-token.revoke").count() == 1

    def test_leaves_other_tokens_alone(self, planner: User, now: datetime) -> None:
        token, _ = tokens.create_token(actor=None, user=planner, name="ci", now=now)
        _, other = tokens.create_token(actor=None, user=planner, name="other", now=now)
        tokens.revoke_token(actor=None, token_id=token.pk, now=now)
        assert tokens.authenticate(other) == planner

    def test_names_what_it_does_not_find(self, now: datetime) -> None:
        with pytest.raises(NotFoundError, match="no API token has id 12") as error:
            tokens.revoke_token(actor=None, token_id=12, now=now)
        assert error.value.field == "token_id"
