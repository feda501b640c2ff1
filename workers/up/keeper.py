"""Keep one program running: notice its end, start it again with back-off."""

import signal
from collections.abc import Callable
from typing import Final

from engine.serving.restart_policy import RestartPolicy
from workers.up.child import Child, Program

POLICY: Final = RestartPolicy(base_delay_s=1.0, max_delay_s=30.0, stable_after_s=60.0)

StartChild = Callable[[Program], Child]


class Keeper:
    """One program that shall run.

    Args:
        program: what to run.
        start: starts it.
        clock: monotonic time [s].
    """

    def __init__(self, program: Program, *, start: StartChild, clock: Callable[[], float]) -> None:
        self.program = program
        self.child: Child | None = None
        self._start = start
        self._clock = clock
        self._started_s = 0.0
        self._restart_s = 0.0
        self._ends_in_row = 0

    @property
    def is_running(self) -> bool:
        """Whether the program has been started and has not ended."""
        return self.child is not None

    def start(self) -> None:
        """Start the program now."""
        self._started_s = self._clock()
        self.child = self._start(self.program)

    def tick(self) -> str | None:
        """Do what is due and return news for people, if there is any."""
        if self.child is None:
            if self._clock() >= self._restart_s:
                self.start()
            return None
        code = self.child.poll()
        if code is None:
            return None
        return self._note_end(code)

    def stop(self) -> None:
        """Ask the program to end."""
        if self.child is not None:
            self.child.send(signal.SIGTERM)

    def kill(self) -> None:
        """End the program with its group, without asking."""
        if self.child is not None:
            self.child.kill()

    def has_ended(self) -> bool:
        """Return whether nothing of the program runs."""
        if self.child is not None and self.child.poll() is not None:
            self.child = None
        return self.child is None

    def _note_end(self, code: int) -> str:
        now_s = self._clock()
        self.child = None
        self._ends_in_row = 1 if POLICY.is_stable(now_s - self._started_s) else self._ends_in_row + 1
        delay_s = POLICY.compute_delay_s(self._ends_in_row)
        self._restart_s = now_s + delay_s
        when = f"again in {delay_s:.0f} s" if delay_s else "again now"
        return f"{self.program.name} ended ({describe_exit(code)}); it is started {when}"


def describe_exit(code: int) -> str:
    """Return an exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
