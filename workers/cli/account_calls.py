"""Calls of the command line into the services for people and tokens."""

from django.utils import timezone

from engine.errors import InvalidInputError
from webapp.core import services
from webapp.core import tokens as core_tokens
from webapp.core.errors import NotFoundError
from webapp.core.models import Role, User


def create_user(*, username: str, role: str, password: str) -> None:
    """Make a person.

    Raises:
        InvalidInputError: there is no such role, or the password is too weak.
        ConflictError: somebody has this name.
    """
    if role not in Role.values:
        raise InvalidInputError(f"{role!r} is not a role", field="role", remedy=f"use one of {', '.join(Role.values)}")
    services.create_user(actor=None, username=username, password=password, role=Role(role), now=timezone.now())


def set_password(*, username: str, password: str) -> None:
    """Give a person a new password.

    Raises:
        NotFoundError: nobody has this name.
        InvalidInputError: the password is too weak.
    """
    services.set_password(actor=None, username=username, password=password, now=timezone.now())


def create_token(*, username: str, name: str) -> str:
    """Make an API token for a person and return it.

    Raises:
        NotFoundError: nobody has this name.
    """
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise NotFoundError(f"there is no active user called {username!r}", field="username")
    return core_tokens.create_token(actor=None, user=user, name=name, now=timezone.now())[1]
