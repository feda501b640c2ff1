"""Small files that survive a kill at any instruction: written aside, then renamed; locks that the kernel drops."""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from engine.errors import RefusedError

_MAX_BASE_CHARS: Final = 40  # a Unix socket path has 107 characters and vLLM appends a 36-character name
_DIGEST_CHARS: Final = 12


class UnsafeFolderError(RefusedError):
    """A folder in the shared temporary directory belongs to someone else."""

    code = "unsafe_folder"


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step; only the owner may read it."""
    temporary = path.with_name(f".{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    temporary.replace(path)


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the file's exclusive lock, or None when someone else holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def find_run_dir(owner: Path) -> Path:
    """Return the short folder for the sockets of whatever lives in `owner`; it need not exist.

    The name follows from `owner`, so that a new agent finds and removes what a killed one left.
    """
    base = Path(tempfile.gettempdir())
    if len(str(base)) > _MAX_BASE_CHARS:
        base = Path("/tmp")  # noqa: S108  # the folder below is made private and checked for its owner
    digest = hashlib.sha256(str(owner.resolve()).encode()).hexdigest()[:_DIGEST_CHARS]
    return base / f"medley-{os.geteuid()}-{digest}"


def make_run_dir(path: Path) -> Path:
    """Create a private folder, or accept it when it is ours and closed to others.

    Raises:
        UnsafeFolderError: it exists and belongs to another user, is a link, or is open to others.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
        raise UnsafeFolderError(f"{path} is not a private folder of this user: remove it", path=str(path))
    return path


def remove_folder(path: Path) -> None:
    """Delete a folder with all that is in it; one that is gone stays gone."""
    shutil.rmtree(path, ignore_errors=True)


def read_tail(path: Path, *, lines: int, max_bytes: int = 256 * 1024) -> list[str]:
    """Return the latest lines of a log, oldest first, from at most `max_bytes` of its end."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []
