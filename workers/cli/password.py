"""Reading a password: twice from a terminal, or one line from a pipe."""

import sys

import typer

from engine.errors import InvalidInputError


def ask_password(*, from_stdin: bool) -> str:
    """Return the password a person gives.

    Raises:
        InvalidInputError: standard input is empty.
    """
    if not from_stdin:
        answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return answer
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise InvalidInputError("standard input is empty", field="password", remedy="give the password as one line")
    return line
