"""`medley users`: people of the console; works on its database, whether it runs or not."""

from typing import Annotated

import typer

from workers.cli.accounts import ROLES, load_accounts
from workers.cli.password import ask_password

users = typer.Typer(help="People of the console.", no_args_is_help=True)

UserName = Annotated[str, typer.Argument(help="Name to sign in with.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@users.command("create")
def create_user(
    username: UserName,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")] = "viewer",
    password_stdin: FromStdin = False,
) -> None:
    """Make a person."""
    accounts = load_accounts()
    accounts.create_user(username=username, role=role, password=ask_password(from_stdin=password_stdin))
    print(f"User {username} is made, with the role {role}.")


@users.command("set-password")
def set_password(username: UserName, password_stdin: FromStdin = False) -> None:
    """Give a person a new password."""
    accounts = load_accounts()
    accounts.set_password(username=username, password=ask_password(from_stdin=password_stdin))
    print(f"The password of {username} is changed.")
