"""People: made with a role, which also decides whether they may enter the admin."""

from datetime import datetime

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import transaction

from engine.errors import InvalidInputError
from webapp.core import audit
from webapp.core.errors import ConflictError, NotFoundError
from webapp.core.models import Role, User

_STAFF_ROLES = frozenset({Role.APPROVER, Role.ADMIN})  # approvals can be given in the admin as well


def set_role_flags(user: User) -> None:
    """Set Django's own flags of a person, not saved, to what the role says."""
    user.is_staff = user.role in _STAFF_ROLES
    user.is_superuser = user.role == Role.ADMIN


@transaction.atomic
def create_user(*, actor: User | None, username: str, password: str | None, role: Role, now: datetime) -> User:
    """Make a person with a role; only admins may change other people. Without a password nobody can sign in as it.

    Raises:
        ConflictError: somebody has this name.
        InvalidInputError: the name holds other than letters, digits and @.+-_, or the password is too weak.
    """
    _check_username(username)
    if User.objects.filter(username=username).exists():
        raise ConflictError(f"there is a user called {username!r} already", username=username)
    if password is not None:
        _check_password(password)
    user = User(username=User.normalize_username(username), role=role)
    set_role_flags(user)
    user.set_password(password)
    user.save()
    audit.record(
        actor=actor,
        action="user.create",
        object_type="user",
        object_id=user.pk,
        now=now,
        detail={"username": username, "role": role},
    )
    return user


@transaction.atomic
def set_password(*, actor: User | None, username: str, password: str, now: datetime) -> User:
    """Give a person a new password; it ends the sessions that the old one opened.

    Raises:
        NotFoundError: nobody has this name.
        InvalidInputError: the password is too weak.
    """
    user = User.objects.select_for_update().filter(username=username).first()
    if user is None:
        raise NotFoundError(f"there is no user called {username!r}", field="username", remedy="see the admin's users")
    _check_password(password)
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record(actor=actor, action="user.set-password", object_type="user", object_id=user.pk, now=now)
    return user


def _check_username(username: str) -> None:
    try:
        User._meta.get_field("username").clean(username, None)
    except ValidationError as error:
        text = " ".join(error.messages)
        remedy = "use letters, digits and @ . + - _"
        raise InvalidInputError(f"username: {text}", field="username", remedy=remedy) from error


def _check_password(password: str) -> None:
    try:
        password_validation.validate_password(password)
    except ValidationError as error:
        text = " ".join(error.messages)
        raise InvalidInputError(text, field="password", remedy="choose a longer password") from error
