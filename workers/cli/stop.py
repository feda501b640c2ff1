"""`medley stop`: end what `make run` started."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from engine.errors import UnavailableError
from workers import with_django
from workers.home import Home, find_home
from workers.up import presence
from workers.up.terminal import Terminal

_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.1


class StillRunningError(UnavailableError):
    """The console did not end in time."""

    code = "still_running"


def stop(
    timeout_s: Annotated[float, typer.Option("--timeout", help="How long to wait [s].")] = _TIMEOUT_S,
) -> None:
    """Stop the console and everything it started, machines of this host included."""
    home, terminal = find_home(), Terminal(out=sys.stdout)
    running = presence.find_running(home)
    if running is not None:
        with terminal.step(f"Stopping Medley (process {running.pid})", "Medley is stopped"):
            stop_supervisor(home, running.pid, timeout_s=timeout_s)
        return
    print("Medley does not run.")
    if list_left_machines(home):
        with terminal.step("Releasing machines that were left on this host", "Machines of this host are released"):
            with_django.load("workers.up.release").main()


def stop_supervisor(
    home: Home,
    pid: int,
    *,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Ask the supervisor to stop and wait until it has.

    Raises:
        StillRunningError: it runs on after `timeout_s`.
    """
    os.kill(pid, signal.SIGTERM)
    deadline_s = clock() + timeout_s
    while presence.find_running(home) is not None or _is_ending(pid):
        if clock() > deadline_s:
            raise StillRunningError(f"process {pid} still runs after {timeout_s:.0f} s, see {home.logs}")
        sleep(_POLL_S)


def _is_ending(pid: int) -> bool:
    """Return whether the process is still there; it gives up its lock a moment before it ends."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # empty for one that nobody has waited for yet
    except OSError:
        return False


def list_left_machines(home: Home) -> list[str]:
    """Return the machines of this host that a killed console left."""
    return sorted(path.parent.name for path in home.agents.glob("*/machine.json"))
