"""API tokens: made once, shown once, kept as a hash."""

import hashlib
import secrets
from datetime import datetime
from typing import Final

from django.db import transaction

from webapp.core import audit
from webapp.core.errors import NotFoundError
from webapp.core.models import ApiToken, User

_PREFIX: Final = "mdt_"  # lets secret scanners and people recognise a leaked token
_NUM_BYTES: Final = 32


def hash_token(plaintext: str) -> str:
    """Return the SHA-256 under which a token is kept; the token is random, so no salt is needed."""
    return hashlib.sha256(plaintext.encode()).hexdigest()


@transaction.atomic
def create_token(*, actor: User | None, user: User, name: str, now: datetime) -> tuple[ApiToken, str]:
    """Make a token for `user`; return its row and the plaintext, which is never kept."""
    plaintext = _PREFIX + secrets.token_urlsafe(_NUM_BYTES)
    token = ApiToken.objects.create(user=user, name=name, token_hash=hash_token(plaintext), created_at=now)
    audit.record(
        actor=actor,
        action="api-token.create",
        object_type="api-token",
        object_id=token.pk,
        now=now,
        detail={"name": name, "user": user.username},
    )
    return token, plaintext


def authenticate(plaintext: str) -> User | None:
    """Return the active user behind a token that was not revoked, or None."""
    token = (
        ApiToken.objects.select_related("user")
        .filter(token_hash=hash_token(plaintext), revoked_at=None, user__is_active=True)
        .first()
    )
    return None if token is None else token.user


def list_tokens(*, user: User) -> list[ApiToken]:
    """Return the tokens of a person that still work, newest first."""
    return list(ApiToken.objects.filter(user=user, revoked_at=None).order_by("-created_at", "-pk"))


def revoke_own_token(*, actor: User, token_id: int, now: datetime) -> ApiToken:
    """Switch a token of the actor off for good.

    Raises:
        NotFoundError: the actor has no token of this id.
    """
    if not ApiToken.objects.filter(pk=token_id, user=actor).exists():
        raise NotFoundError(f"you have no API token {token_id}", field="token_id")
    return revoke_token(actor=actor, token_id=token_id, now=now)


@transaction.atomic
def revoke_token(*, actor: User | None, token_id: int, now: datetime) -> ApiToken:
    """Switch a token off for good; a second call changes nothing.

    Raises:
        NotFoundError: no token has this id.
    """
    token = ApiToken.objects.select_for_update().filter(pk=token_id).first()
    if token is None:
        raise NotFoundError(f"no API token has id {token_id}", field="token_id")
    if token.revoked_at is None:
        token.revoked_at = now
        token.save(update_fields=["revoked_at"])
        audit.record(actor=actor, action="api-token.revoke", object_type="api-token", object_id=token.pk, now=now)
    return token
