"""Processes of this host as /proc shows them: identity that survives reuse of a number, sessions, ends.

A process id alone may be reused; together with the kernel's start time it is unique until the next boot.
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_ENDED_STATES: Final = frozenset("ZX")  # zombie, dead: gone but for the parent's look at the exit code

# Fields of /proc/<pid>/stat after the command in brackets, proc(5).
_STATE, _SESSION, _START_TICKS = 0, 3, 19


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRef:
    """One process for ever: its number and the kernel's start time [clock ticks since boot]."""

    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stat:
    state: str
    session: int
    start_ticks: int


def find_process(pid: int) -> ProcessRef | None:
    """Return the living process with this number, or None."""
    stat = _read_stat(pid)
    if stat is None or stat.state in _ENDED_STATES:
        return None
    return ProcessRef(pid=pid, start_ticks=stat.start_ticks)


def is_alive(process: ProcessRef) -> bool:
    """Return whether exactly this process still runs."""
    return find_process(process.pid) == process


def list_session(leader: ProcessRef) -> tuple[int, ...]:
    """Return the living processes of the session that `leader` opened, the leader itself included.

    The kernel gives out a number again only when no session carries it any more. So when the number now belongs
    to another process, nothing of the old session is left.
    """
    current = _read_stat(leader.pid)
    if current is not None and current.start_ticks != leader.start_ticks:
        return ()
    return tuple(pid for pid, stat in _list_stats() if stat.session == leader.pid and stat.state not in _ENDED_STATES)


def signal_process(process: ProcessRef, number: signal.Signals) -> None:
    """Send a signal to exactly this process; nothing happens when it is gone."""
    if is_alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def kill_session(leader: ProcessRef) -> int:
    """Kill what is left of a session and return how many processes that were."""
    pids = list_session(leader)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def _list_stats() -> list[tuple[int, _Stat]]:
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return [(pid, stat) for pid in pids if (stat := _read_stat(pid)) is not None]


def _read_stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(state=fields[_STATE], session=int(fields[_SESSION]), start_ticks=int(fields[_START_TICKS]))
