"""What the command line does to people and tokens, in two parts: the choice of words, and the calls into services.

The services need Django's models, which can be imported only after the set-up; so they stand in `account_calls`.
"""

from typing import Final, Protocol, cast

from workers import with_django

ROLES: Final = ("viewer", "planner", "approver", "admin")


class Accounts(Protocol):
    """The calls of `workers.cli.account_calls`."""

    def create_user(self, *, username: str, role: str, password: str) -> None:
        """Make a person."""

    def set_password(self, *, username: str, password: str) -> None:
        """Give a person a new password."""

    def create_token(self, *, username: str, name: str) -> str:
        """Make an API token and return it."""


def load_accounts() -> Accounts:
    """Return the calls, with Django set up."""
    return cast("Accounts", with_django.load("workers.cli.account_calls"))
