"""The `medley` command: all its subcommands, and how it tells what went wrong."""

import importlib.metadata
import sys
from typing import Annotated, Final

import typer
from django.core.exceptions import ImproperlyConfigured

from engine.errors import EngineError
from workers.cli.console import NotRunningError
from workers.cli.keys import keys
from workers.cli.solve import solve
from workers.cli.status import status
from workers.cli.stop import stop
from workers.cli.tokens import tokens
from workers.cli.up import up
from workers.cli.users import users

EXIT_FAILED: Final = 1
EXIT_NOT_RUNNING: Final = 3  # what service managers mean by it

app = typer.Typer(
    help="Serve large language models on the cheapest mix of cloud GPUs that keeps its promises.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up)
app.command()(stop)
app.command()(status)
app.command()(solve)
app.add_typer(keys, name="keys")
app.add_typer(users, name="users")
app.add_typer(tokens, name="tokens")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"medley {importlib.metadata.version('medley')}")
        raise typer.Exit


@app.callback()
def define_common_options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before any subcommand."""


def main() -> None:
    """Run the command line; errors that a person can mend are one line, and the exit code tells the kind."""
    try:
        app()
    except NotRunningError as error:
        _fail(error.message, EXIT_NOT_RUNNING)
    except EngineError as error:
        remedy = error.data.get("remedy")
        _fail(f"{error.message}; {remedy}" if remedy else error.message, EXIT_FAILED)
    except ImproperlyConfigured as error:
        _fail(str(error), EXIT_FAILED)


def _fail(message: str, code: int) -> None:
    print(f"medley: {message}", file=sys.stderr)
    sys.exit(code)
