"""What a person sees in the terminal: steps with their time, and news of a running console."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TextIO

from workers.up import ansi


@dataclass(kw_only=True)
class Terminal:
    """Writes lines; a terminal that was closed is no reason to stop.

    Attributes:
        out: where lines go.
        clock: monotonic time [s].
    """

    out: TextIO
    clock: Callable[[], float] = field(default=time.monotonic)
    _doing: str = field(default="", init=False)  # line of the step that is under way, on a live terminal

    def say(self, text: str = "") -> None:
        """Write one line."""
        if self._doing:
            self._write(f"{ansi.ERASE_LINE}{text}\n{self._doing}")
        else:
            self._write(f"{text}\n")

    def warn(self, text: str) -> None:
        """Write one line that asks for attention."""
        self.say(f"  {self._paint('!', ansi.YELLOW)} {text}")

    def report(self, text: str) -> None:
        """Write one line of news."""
        self.say(f"  {self._paint('·', ansi.DIM)} {text}")

    def done(self, text: str, *, seconds: float) -> None:
        """Write that something is done and how long it took."""
        self.say(f"  {self._paint('✓', ansi.GREEN)} {text} {self._paint(f'{seconds:.1f} s', ansi.DIM)}")

    @contextlib.contextmanager
    def step(self, doing: str, done: str) -> Iterator[None]:
        """Show what is being done; when it has worked, what was done and how long it took."""
        started_s = self.clock()
        with self.work(doing):
            yield
        self.done(done, seconds=self.clock() - started_s)

    @contextlib.contextmanager
    def work(self, doing: str) -> Iterator[None]:
        """Show what is being done for as long as it is."""
        if self._is_live():
            self._doing = f"  {self._paint('…', ansi.DIM)} {doing}"
            self._write(self._doing)
        try:
            yield
        finally:
            if self._doing:
                self._doing = ""
                self._write(ansi.ERASE_LINE)

    def strong(self, text: str) -> str:
        """Return the text so that it stands out."""
        return self._paint(text, ansi.BOLD)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal was closed
            self.out.write(text)
            self.out.flush()

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{ansi.RESET}" if self._is_live() else text

    def _is_live(self) -> bool:
        return not self.out.closed and self.out.isatty()
