"""The loop of a running console: start the processes, keep them running, stop them in order.

One thread and no waiting inside a turn: every turn looks at each process once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from workers.home import Home
from workers.up import logs
from workers.up.child import Program
from workers.up.keeper import Keeper, StartChild, describe_exit
from workers.up.serving_setup import ServingSetup
from workers.up.stop_request import StopRequest
from workers.up.terminal import Terminal

_TURN_S: Final = 0.1
_ROTATE_EVERY_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 4.0  # a worker finishes short tasks; longer ones are taken up again at the next start
_RELEASE_TIMEOUT_S: Final = 30.0
_READY_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The world around the loop.

    Attributes:
        start: starts a program.
        clock: monotonic time [s].
        sleep: waits [s].
    """

    start: StartChild
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)


class Supervisor:
    """Runs programs until a person wants them stopped.

    Args:
        programs: what shall run, in the order of starting.
        home: folder of the installation.
        terminal: where news go.
        stop: the wish to stop.
        tools: see `Tools`.
    """

    def __init__(
        self, programs: Sequence[Program], *, home: Home, terminal: Terminal, stop: StopRequest, tools: Tools
    ) -> None:
        self._home = home
        self._terminal = terminal
        self._stop = stop
        self._tools = tools
        self._keepers = [Keeper(program, start=tools.start, clock=tools.clock) for program in programs]
        self._rotated_s = tools.clock()

    def run_once(self, program: Program, *, timeout_s: float = float("inf")) -> int | None:
        """Run a program to its end and return its exit code; None when it was ended by a wish or the timeout."""
        child = self._tools.start(program)
        num_asked = self._stop.num_asked
        deadline_s = self._tools.clock() + timeout_s
        while (code := child.poll()) is None:
            if self._stop.num_asked > num_asked or self._tools.clock() > deadline_s:
                child.kill()
                return None
            self._tools.sleep(_TURN_S)
        return code

    def start(self) -> None:
        """Start all programs."""
        for keeper in self._keepers:
            keeper.start()

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float = _READY_TIMEOUT_S) -> bool:
        """Keep all running until the condition holds; return False at a wish to stop or the timeout."""
        deadline_s = self._tools.clock() + timeout_s
        while not self._stop.is_asked and self._tools.clock() <= deadline_s:
            if condition():
                return True
            self._turn()
        return False

    def run(self, setup: ServingSetup) -> None:
        """Keep all running until a person wants to stop; the set-up of serving goes on beside it."""
        while not self._stop.is_asked:
            setup.tick()
            self._turn()
        setup.stop()

    def shut_down(self, setup: ServingSetup, *, release: Program) -> bool:
        """End all programs, then release the machines of this host; return whether nothing of them is left."""
        with self._terminal.step("Stopping all processes (Ctrl-C again: at once)", "Processes are stopped"):
            self._stop_programs(setup)
        if self._stop.is_forced:
            self._terminal.warn("machines of this host are released in the background")
            return False
        return self._release(release)

    def _release(self, release: Program) -> bool:
        started_s = self._tools.clock()
        with self._terminal.work("Releasing the machines of this host"):
            code = self.run_once(release, timeout_s=_RELEASE_TIMEOUT_S)
        if code == 0:
            self._terminal.done("Machines of this host are released", seconds=self._tools.clock() - started_s)
            return True
        reason = "not in time" if code is None else describe_exit(code)
        self._terminal.warn(f"releasing machines failed ({reason}), see {self._home.logs / 'release.log'}")
        return False

    def _stop_programs(self, setup: ServingSetup) -> None:
        for keeper in self._keepers:
            keeper.stop()
        deadline_s = self._tools.clock() + _STOP_TIMEOUT_S
        while not self._has_ended(setup) and not self._stop.is_forced and self._tools.clock() <= deadline_s:
            self._tools.sleep(_TURN_S)
        for keeper in self._keepers:
            keeper.kill()
        setup.kill()
        while not self._has_ended(setup):
            self._tools.sleep(_TURN_S)

    def _has_ended(self, setup: ServingSetup) -> bool:
        num_running = sum(not keeper.has_ended() for keeper in self._keepers)  # asks each: asking also reaps
        return num_running == 0 and setup.has_ended()

    def _turn(self) -> None:
        for keeper in self._keepers:
            if news := keeper.tick():
                self._terminal.warn(news)
        self._rotate_logs()
        self._tools.sleep(_TURN_S)

    def _rotate_logs(self) -> None:
        if self._tools.clock() - self._rotated_s >= _ROTATE_EVERY_S:
            self._rotated_s = self._tools.clock()
            for log in self._home.logs.glob("*.log"):
                logs.rotate(log)
