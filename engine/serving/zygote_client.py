"""The agent's side of the preloaded process: start it once per host, keep it, ask it to fork shards."""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from engine.errors import UnavailableError
from engine.serving import files
from engine.serving.launch_args import PRELOAD_ENVIRONMENT, ShardLaunch
from engine.serving.shard_folder import ShardFolder

_LOG: Final = logging.getLogger(__name__)
_PRELOAD_TIMEOUT_S: Final = 300.0  # 15 s on a quiet machine, 117 s measured without byte code on a busy one
_ANSWER_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.1
_CHECKOUT: Final = Path(__file__).resolve().parents[2]


class ZygoteUnavailableError(UnavailableError):
    """The preloaded process cannot be started or has gone; shards can still start plainly."""

    code = "zygote_unavailable"


def serving_environment() -> dict[str, str]:
    """Return the variables of every process that runs under the serving environment's Python."""
    return {**os.environ, **PRELOAD_ENVIRONMENT, "PYTHONPATH": str(_CHECKOUT)}


class ZygoteClient:
    """Holds one connection for as long as the agent lives; the connection is what keeps the process alive."""

    def __init__(self, *, zygote_dir: Path, python: Path) -> None:
        self._dir = zygote_dir
        self._python = python
        self._run_dir = files.find_run_dir(zygote_dir)
        self._socket = self._run_dir / "zygote.sock"
        self._turn = asyncio.Lock()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the connection still stands."""
        return self._stream is not None and not self._stream[0].at_eof()

    async def connect(self) -> None:
        """Connect, starting the process and waiting for it to load vLLM when nobody has.

        Raises:
            ZygoteUnavailableError: it ended while loading, or took too long.
        """
        async with self._turn:
            if not self.is_connected:
                await self._close()
                self._stream = await self._open()

    async def start(self, folder: ShardFolder, launch: ShardLaunch) -> int:
        """Fork one shard and return its process id; `connect` first.

        Raises:
            ZygoteUnavailableError: it went away before it answered.
        """
        answer = await self._ask(
            op="start", shard_dir=str(folder.path), args=list(launch.args), environment=dict(launch.environment)
        )
        return int(str(answer["pid"]))

    async def find_exit_code(self, pid: int) -> int | None:
        """Return how a shard ended (negative = signal), when this process forked it and knows."""
        if self._stream is None:
            return None
        try:
            code = (await self._ask(op="exit_code", pid=pid))["exit_code"]
        except ZygoteUnavailableError:
            return None
        return None if code is None else int(str(code))

    async def leave(self) -> None:
        """Say that this agent needs it no more; the last one to leave waits until it is gone."""
        if self._stream is None:
            self._stream = await _try_connect(self._socket)
        if self._stream is None:
            await self._stop_loading()
            return
        with contextlib.suppress(ZygoteUnavailableError):
            if (await self._ask(op="bye"))["is_leaving"]:
                await self._wait_for(self._is_gone)
        await self._close()
        if self._child is not None:
            self._child.poll()

    async def _stop_loading(self) -> None:
        """End the process while it still loads vLLM; another agent that waits for it starts its own."""
        child = self._child
        if child is not None:
            child.terminate()
            await self._wait_for(lambda: child.poll() is not None)
            await self._wait_for(self._is_gone)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._child is not None and self._child.poll() is not None:
            self._child = None  # it served and ended; that is no failure to load
        deadline = asyncio.get_running_loop().time() + _PRELOAD_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline:
            stream = await _try_connect(self._socket)
            if stream is not None:
                return stream
            if self._child is not None and self._child.poll() is not None:
                code, self._child = self._child.returncode, None
                raise ZygoteUnavailableError(f"preloading vLLM ended with code {code}: {self._read_last_line()}")
            if self._child is None:
                self._child = self._start_process()
            await asyncio.sleep(_POLL_S)
        raise ZygoteUnavailableError(f"preloading vLLM took more than {_PRELOAD_TIMEOUT_S:.0f} s")

    def _start_process(self) -> subprocess.Popen[bytes] | None:
        """Start the process, or return None when another agent of this host has just done so."""
        lock = files.try_lock(self._dir / "lock")
        if lock is None:
            return None
        try:
            files.make_run_dir(self._run_dir)
            self._socket.unlink(missing_ok=True)
            with (self._dir / "zygote.log").open("wb") as log:
                return subprocess.Popen(
                    [
                        str(self._python),
                        "-P",
                        "-m",
                        "engine.serving.zygote",
                        "--socket",
                        str(self._socket),
                        "--lock-fd",
                        str(lock),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=serving_environment() | {"MEDLEY_ZYGOTE_DIR": str(self._dir)},
                    cwd="/",
                    start_new_session=True,
                    pass_fds=[lock],
                )
        except OSError as error:
            raise ZygoteUnavailableError(f"{self._python} cannot be started: {error}") from error
        finally:
            os.close(lock)

    def _read_last_line(self) -> str:
        lines = files.read_tail(self._dir / "zygote.log", lines=1)
        return lines[-1] if lines else "it printed nothing"

    async def _ask(self, **request: object) -> Mapping[str, object]:
        """Exchange one line each way, to the end even when the caller is cancelled: answers carry no names."""
        return await asyncio.shield(asyncio.ensure_future(self._exchange(request)))

    async def _exchange(self, request: Mapping[str, object]) -> Mapping[str, object]:
        async with self._turn:
            if self._stream is None:
                raise ZygoteUnavailableError("the preloaded vLLM process is gone")
            reader, writer = self._stream
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                line = await asyncio.wait_for(reader.readline(), _ANSWER_TIMEOUT_S)
                answer: dict[str, object] = json.loads(line)
            except (OSError, TimeoutError, json.JSONDecodeError) as error:
                await self._close()
                raise ZygoteUnavailableError("the preloaded vLLM process went away") from error
            return answer

    async def _close(self) -> None:
        if self._stream is not None:
            _, writer = self._stream
            self._stream = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _is_gone(self) -> bool:
        lock = files.try_lock(self._dir / "lock")
        if lock is None:
            return False
        os.close(lock)
        files.remove_folder(self._run_dir)
        return True

    async def _wait_for(self, condition: Callable[[], bool]) -> None:
        for _ in range(round(_ANSWER_TIMEOUT_S / _POLL_S)):
            if condition():
                return
            await asyncio.sleep(_POLL_S)


async def _try_connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        return await asyncio.open_unix_connection(path)
    except OSError:
        return None
