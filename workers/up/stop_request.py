"""Ctrl-C, SIGTERM and a closed terminal as a wish to stop; the second one as a wish to stop at once."""

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NUM_FORCE: Final = 2
_ECHO_S: Final = 1.0  # `make` passes a signal on that a whole process group gets as well: one wish, heard twice


class StopRequest:
    """How often this process has been asked to stop.

    Args:
        clock: monotonic time [s].
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._num_asked = 0
        self._asked_s = float("-inf")

    @property
    def num_asked(self) -> int:
        """Wishes so far."""
        return self._num_asked

    @property
    def is_asked(self) -> bool:
        """Whether everything shall stop."""
        return self._num_asked > 0

    @property
    def is_forced(self) -> bool:
        """Whether it shall stop without waiting."""
        return self._num_asked >= _NUM_FORCE

    def ask(self) -> None:
        """Ask once more; an echo of the wish before does not count."""
        now_s = self._clock()
        if now_s - self._asked_s >= _ECHO_S:
            self._num_asked += 1
            self._asked_s = now_s

    def listen(self) -> None:
        """Count signals from now on."""
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.ask()
