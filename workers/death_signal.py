"""Linux's parent-death signal: what a process asks for so that it never outlives the one that started it."""

import ctypes
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send `number` to this process when its parent ends; other systems have no such thing.

    The wish survives `exec` but not `fork`: every process asks for itself.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
