"""`medley up`: start the console and everything around it."""

import typer

from workers.up.command import run_console


def up() -> None:
    """Start the console, its workers and the gateway; Ctrl-C stops all of it. `make run` calls this."""
    raise typer.Exit(run_console())
