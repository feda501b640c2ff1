"""What is kept on disk of one shard, and how a process claims it. Standard library only: vLLM's side reads it too.

`lock` is held by the shard's processes for as long as one of them lives, `process.json` is written by the shard
itself right after it has the lock. So neither a killed agent nor two agents can run a shard twice.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.serving import files, processes
from engine.serving.processes import ProcessRef

EXIT_ALREADY_RUNS: Final = 75  # EX_TEMPFAIL: another process holds the shard's lock
_MAX_LOG_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFolder:
    """Files of one shard."""

    path: Path

    @property
    def lock(self) -> Path:
        """Held by the living shard."""
        return self.path / "lock"

    @property
    def process(self) -> Path:
        """Number and start time of the shard's first process."""
        return self.path / "process.json"

    @property
    def record(self) -> Path:
        """The agent's own notes: specification, port, restarts."""
        return self.path / "record.json"

    @property
    def log(self) -> Path:
        """What the shard prints."""
        return self.path / "log"


def claim_folder(folder: ShardFolder) -> int | None:
    """Take the shard's lock for this process and write down who it is; None when another one holds it."""
    fd = files.try_lock(folder.lock)
    if fd is None:
        return None
    myself = processes.find_process(os.getpid())
    if myself is None:
        raise ProcessLookupError("/proc does not show this process")
    files.write_private(folder.process, json.dumps({"pid": myself.pid, "start_ticks": myself.start_ticks}))
    return fd


def find_claimant(folder: ShardFolder) -> ProcessRef | None:
    """Return the process that claimed the folder last, whether it still lives or not."""
    try:
        data = json.loads(folder.process.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return ProcessRef(pid=int(data["pid"]), start_ticks=int(data["start_ticks"]))


def redirect_output(folder: ShardFolder) -> None:
    """Send this process's output to the shard's log; one older log is kept."""
    if folder.log.exists() and folder.log.stat().st_size > _MAX_LOG_BYTES:
        folder.log.replace(folder.log.with_suffix(".old"))
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for fd in {nothing, log} - {0, 1, 2}:
        os.close(fd)
