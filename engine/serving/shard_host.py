"""Processes of shards on this machine: start them forked or plainly, find them again, end them wholly."""

import asyncio
import logging
import signal
import subprocess
from pathlib import Path
from typing import Final, Protocol

from engine.errors import UnavailableError
from engine.serving import files, processes, shard_folder, vllm_finder
from engine.serving.launch_args import ShardLaunch
from engine.serving.processes import ProcessRef
from engine.serving.protocol import VllmAvailability
from engine.serving.shard_folder import EXIT_ALREADY_RUNS, ShardFolder
from engine.serving.zygote_client import ZygoteClient, ZygoteUnavailableError, serving_environment

_LOG: Final = logging.getLogger(__name__)
_TERM_TIMEOUT_S: Final = 10.0  # vLLM needs 0.2 s when idle
_KILL_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_PREFORK_START_TIMEOUT_S: Final = 120.0  # 1-2 s on a quiet machine
_PLAIN_START_TIMEOUT_S: Final = 400.0  # 42 s on a quiet machine, 117 s measured on a busy one


class ShardStartError(UnavailableError):
    """No process could be started for a shard."""

    code = "shard_start_failed"


class ShardHost(Protocol):
    """What the supervisor needs of the machine."""

    @property
    def start_timeout_s(self) -> float:
        """How long a start may take until the shard answers [s]."""
        ...

    def check_vllm(self) -> VllmAvailability:
        """Return whether shards can be started at all."""
        ...

    def describe_wait(self) -> str:
        """Return in words what a start waits for now, or nothing."""
        ...

    async def prepare(self) -> None:
        """Have everything ready that a start needs; may take long and may be cancelled."""
        ...

    async def start(self, folder: ShardFolder, launch: ShardLaunch) -> ProcessRef:
        """Start the shard's first process, at once; raises `ShardStartError`."""
        ...

    def find_running(self, folder: ShardFolder) -> ProcessRef | None:
        """Return the living process that claimed the folder, or None."""
        ...

    def is_alive(self, process: ProcessRef) -> bool:
        """Return whether this process lives."""
        ...

    async def end(self, folder: ShardFolder, process: ProcessRef | None) -> None:
        """End what claimed the folder, and `process`, with all descendants; nothing running is fine."""
        ...

    async def describe_end(self, folder: ShardFolder, process: ProcessRef) -> str:
        """Return in words how a process ended."""
        ...


class LinuxShardHost:
    """Starts shards through the preloaded process; plainly when there is none."""

    def __init__(self, *, python: Path, zygote: ZygoteClient | None) -> None:
        self._python = python
        self._zygote = zygote
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def start_timeout_s(self) -> float:
        """See `ShardHost`."""
        return _PLAIN_START_TIMEOUT_S if self._zygote is None else _PREFORK_START_TIMEOUT_S

    def check_vllm(self) -> VllmAvailability:
        """See `ShardHost`."""
        return vllm_finder.find_vllm(self._python)

    def describe_wait(self) -> str:
        """See `ShardHost`."""
        return "loading vLLM once for this host" if self._zygote and not self._zygote.is_connected else ""

    async def prepare(self) -> None:
        """See `ShardHost`: vLLM is loaded once; where that fails, shards start plainly from now on."""
        if self._zygote is None:
            return
        try:
            await self._zygote.connect()
        except ZygoteUnavailableError as error:
            _LOG.warning("shards are started plainly: %s", error)
            self._zygote = None

    async def start(self, folder: ShardFolder, launch: ShardLaunch) -> ProcessRef:
        """See `ShardHost`."""
        pid = await self._fork(folder, launch) if self._zygote else self._spawn(folder, launch)
        process = processes.find_process(pid)
        if process is None:
            raise ShardStartError(f"the process ended at once: {_read_last_line(folder)}")
        return process

    def find_running(self, folder: ShardFolder) -> ProcessRef | None:
        """See `ShardHost`."""
        claimant = shard_folder.find_claimant(folder)
        return claimant if claimant and processes.is_alive(claimant) else None

    def is_alive(self, process: ProcessRef) -> bool:
        """See `ShardHost`."""
        return processes.is_alive(process)

    async def end(self, folder: ShardFolder, process: ProcessRef | None) -> None:
        """See `ShardHost`; a process that has just been started may not have claimed its folder yet."""
        claimant = shard_folder.find_claimant(folder)
        for leader in {one for one in (claimant, process) if one is not None}:
            await self._end_session(leader)
        folder.process.unlink(missing_ok=True)

    async def _end_session(self, leader: ProcessRef) -> None:
        """Ask the first process, then kill what is left of its session."""
        processes.signal_process(leader, signal.SIGTERM)
        for _ in range(round(_TERM_TIMEOUT_S / _POLL_S)):
            if not processes.is_alive(leader):
                break
            await asyncio.sleep(_POLL_S)
        processes.signal_process(leader, signal.SIGKILL)
        for _ in range(round(_KILL_TIMEOUT_S / _POLL_S)):
            if processes.kill_session(leader) == 0:
                break
            await asyncio.sleep(_POLL_S)
        await self._find_exit_code(leader.pid)

    async def describe_end(self, folder: ShardFolder, process: ProcessRef) -> str:
        """See `ShardHost`."""
        code = await self._find_exit_code(process.pid)
        if code == EXIT_ALREADY_RUNS:
            return "another process of this shard still runs"
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        detail = f" with code {code}" if code is not None else ""
        return f"ended{detail}: {_read_last_line(folder)}"

    async def leave(self) -> None:
        """Let go of the preloaded process; the last agent to do so ends it."""
        if self._zygote is not None:
            await self._zygote.leave()

    async def _fork(self, folder: ShardFolder, launch: ShardLaunch) -> int:
        if self._zygote is None:
            raise ShardStartError("there is no preloaded vLLM process")
        try:
            return await self._zygote.start(folder, launch)
        except ZygoteUnavailableError as error:
            raise ShardStartError(str(error)) from error

    def _spawn(self, folder: ShardFolder, launch: ShardLaunch) -> int:
        try:
            child = subprocess.Popen(
                [str(self._python), "-P", "-m", "engine.serving.plain_start", str(folder.path), *launch.args],
                stdin=subprocess.DEVNULL,
                env=serving_environment() | dict(launch.environment),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ShardStartError(f"{self._python} cannot be started: {error}") from error
        self._children[child.pid] = child
        return child.pid

    async def _find_exit_code(self, pid: int) -> int | None:
        child = self._children.get(pid)
        if child is not None:
            code = child.poll()
            if code is not None:
                del self._children[pid]
            return code
        return None if self._zygote is None else await self._zygote.find_exit_code(pid)


def _read_last_line(folder: ShardFolder) -> str:
    lines = [line for line in files.read_tail(folder.log, lines=20) if line.strip()]
    return lines[-1].strip()[:300] if lines else "it printed nothing"
