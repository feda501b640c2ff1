"""One started program: its end noticed, its whole process group ended with it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from workers.home import CHECKOUT

_LAUNCHER: Final = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run.

    Attributes:
        name: word for the terminal and the log's file name.
        command: arguments; the first is the path of the program.
        environment: complete environment of the process.
        death_signal: what it gets when the supervisor is killed. A program with children of its own that
            cannot look after themselves takes SIGTERM and ends them.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)  # has secrets
    death_signal: signal.Signals = signal.SIGKILL


class Child(Protocol):
    """A started program, or a fake of one."""

    @property
    def pid(self) -> int:
        """Process id, also of its group."""

    def poll(self) -> int | None:
        """Return the exit code once it has ended, else None."""

    def send(self, number: signal.Signals) -> None:
        """Signal the program; nothing happens when it has ended."""

    def kill(self) -> None:
        """Kill the program with its group."""


class GroupChild:
    """A program that leads its own session, so that a Ctrl-C in the terminal reaches the supervisor alone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Process id, also of its group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code once it has ended, else None; what it left in its group is killed first.

        The group is killed while the number is still taken by the unreaped leader, so it cannot be another's.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self._signal_group(signal.SIGKILL)
        return self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Signal the program; nothing happens when it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the program with its group."""
        if self._process.returncode is None:
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def start_child(program: Program, *, log: Path | None) -> GroupChild:
    """Start a program; its output goes to the end of `log`, or to the terminal when there is none."""
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(int(program.death_signal))]
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("ab"))
        process = subprocess.Popen(
            [*launcher, *program.command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            env=dict(program.environment),
            cwd=CHECKOUT,
            start_new_session=True,
        )
    return GroupChild(process)
