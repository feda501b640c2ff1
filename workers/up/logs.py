"""Logs of the processes: one file each, and one older file once it has grown too long."""

import shutil
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 20 * 1024 * 1024


def rotate(log: Path, *, max_bytes: int = MAX_BYTES) -> bool:
    """Move a long log's content to `<name>.1` and return whether that was needed.

    The file itself stays: the process that appends to it goes on at its new end.
    """
    if not log.is_file() or log.stat().st_size <= max_bytes:
        return False
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    with log.open("r+b") as file:
        file.truncate(0)
    return True
