"""Processes and time that only pretend: what the supervisor's tests run on."""

import signal
from dataclasses import dataclass, field

from workers.up.child import Program


@dataclass
class FakeClock:
    """Time that moves only when somebody sleeps."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class FakeChild:
    """A program that ends when the test says so, or at the signals it obeys."""

    pid: int
    obeys: frozenset[int] = frozenset({signal.SIGTERM})
    code: int | None = None
    signals: list[int] = field(default_factory=list)
    is_killed: bool = False

    def poll(self) -> int | None:
        return self.code

    def send(self, number: signal.Signals) -> None:
        self.signals.append(number)
        if number in self.obeys and self.code is None:
            self.code = -number

    def kill(self) -> None:
        if self.code is None:
            self.is_killed = True
            self.code = -signal.SIGKILL


@dataclass
class FakeHost:
    """Starts fake programs and remembers them by name."""

    started: list[FakeChild] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)  # programs that end at once, and how
    deaf: set[str] = field(default_factory=set)  # programs that do not obey SIGTERM

    def start(self, program: Program) -> FakeChild:
        obeys: frozenset[int] = frozenset() if program.name in self.deaf else frozenset({signal.SIGTERM})
        child = FakeChild(pid=1000 + len(self.started), obeys=obeys, code=self.codes.get(program.name))
        self.started.append(child)
        self.names.append(program.name)
        return child

    def get(self, name: str) -> FakeChild:
        """Return the latest start of a program."""
        return self.started[len(self.names) - 1 - self.names[::-1].index(name)]


def make_program(name: str) -> Program:
    """Return a program that is only a name."""
    return Program(name=name, command=("/bin/true",), environment={})
