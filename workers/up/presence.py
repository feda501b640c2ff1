"""Who runs this installation: one supervisor, found by a lock that the kernel drops when it ends."""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import Final

from engine.serving import files
from workers.home import Home

_LOCK_TRIES: Final = 5  # whoever looks at the lock holds it shared for microseconds
_LOCK_PAUSE_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A running console.

    Attributes:
        pid: process id of the supervisor.
        web_url: address of the console, empty until it is known.
        gateway_url: address of the gateway, empty until it is known.
    """

    pid: int
    web_url: str = ""
    gateway_url: str = ""


def claim(home: Home) -> int | None:
    """Return a descriptor that makes this process the supervisor for as long as it is open, or None."""
    for _ in range(_LOCK_TRIES):
        fd = files.try_lock(home.up_lock)
        if fd is not None:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            home.up.unlink(missing_ok=True)
            return fd
        time.sleep(_LOCK_PAUSE_S)
    return None


def announce(home: Home, presence: Presence) -> None:
    """Tell where the console is."""
    files.write_private(home.up, json.dumps(asdict(presence)))


def find_running(home: Home) -> Presence | None:
    """Return the running console, or None."""
    pid = _find_holder(home)
    if pid is None:
        return None
    try:
        presence = Presence(**json.loads(home.up.read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return Presence(pid=pid)
    return presence if presence.pid == pid else Presence(pid=pid)


def _find_holder(home: Home) -> int | None:
    """Return who holds the lock; looking at it never takes it from anybody."""
    try:
        fd = os.open(home.up_lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).decode().strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(fd)
    return None
