"""Become another program that ends when the one that started it ends.

`python -I -S launch.py PARENT_PID SIGNAL PROGRAM ARGUMENT...`: run by its path, so that it starts in milliseconds.
"""

import ctypes
import os
import sys
from typing import Final, NoReturn

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h; survives exec


def main(argv: list[str]) -> NoReturn:
    """Ask for the signal at the parent's end, then become the program."""
    parent_pid, number, *command = argv
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != int(parent_pid):  # it ended before the wish was heard
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  # the command is built by the supervisor


if __name__ == "__main__":
    main(sys.argv[1:])
