"""Who calls: a program with an API token, or a person's browser with its session."""

from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer

from webapp.core import tokens
from webapp.core.models import User


class TokenAuth(HttpBearer):
    """`Authorization: Bearer <API token>`."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:  # noqa: ARG002  # ninja calls it so
        """Return the token's owner."""
        return tokens.authenticate(token)


class SessionAuth(APIKeyCookie):
    """The console's session cookie; changes need the CSRF token as pages send it."""

    param_name = "sessionid"

    def __call__(self, request: HttpRequest) -> User | None:
        """Check CSRF only for people who are signed in, so that strangers get a plain 401."""
        if not request.user.is_authenticated:
            return None
        user: User | None = super().__call__(request)
        return user

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:  # noqa: ARG002  # ninja calls it so
        """Return the signed-in person."""
        return request.user if isinstance(request.user, User) else None


def get_actor(request: HttpRequest) -> User:
    """Return who makes this authenticated call.

    Raises:
        TypeError: the operation is open to strangers, so nobody is known.
    """
    actor = getattr(request, "auth", None)
    if not isinstance(actor, User):
        raise TypeError("get_actor needs an operation with authentication")
    return actor
