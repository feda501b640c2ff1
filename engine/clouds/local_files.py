"""Files of local machines: paths, private JSON, free ports, and the lock that tells whether an agent lives."""

import contextlib
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.clouds.port import RentFailedError

HOST: Final = "127.0.0.1"
_LOCK_TRIES: Final = 5  # whoever looks at a lock holds it shared for microseconds
_LOCK_PAUSE_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePaths:
    """Files of one machine."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def tags(self) -> Path:
        return self.folder / "machine.json"  # written last: a folder without it was never rented

    @property
    def lock(self) -> Path:
        return self.folder / "agent.lock"

    @property
    def log(self) -> Path:
        return self.folder / "agent.log"


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the exclusive lock, or None when an agent holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        time.sleep(_LOCK_PAUSE_S)
    os.close(fd)
    return None


def is_locked(path: Path) -> bool:
    """Return whether an agent holds the lock, without ever holding it exclusively."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def read_json(path: Path) -> dict[str, object] | None:
    try:
        data: dict[str, object] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return data


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner may read it."""
    temporary = path.with_suffix(".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    temporary.replace(path)


def pick_port(*, preferred: int | None) -> int:
    """Return the preferred port when it is free, else any free one."""
    for port in (preferred, 0):
        if port is None:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise RentFailedError("no free port on this host")
