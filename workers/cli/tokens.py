"""`medley tokens`: API tokens with which programs use REST."""

import json
from typing import Annotated

import typer

from workers.cli.accounts import load_accounts

tokens = typer.Typer(help="API tokens of programs.", no_args_is_help=True)


@tokens.callback()
def define_group() -> None:
    """Keep `create` a subcommand although it is the only one."""


@tokens.command("create")
def create_token(
    user: Annotated[str, typer.Option(help="Who the program acts as.")],
    name: Annotated[str, typer.Option(help="What the token is for.")] = "command line",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a token; it is shown this once."""
    token = load_accounts().create_token(username=user, name=name)
    print(json.dumps({"token": token}) if as_json else token)
