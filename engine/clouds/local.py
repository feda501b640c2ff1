"""Provider `local`: a machine is a folder on this host and a node agent that runs detached from the console.

A machine lives in `<home>/agents/<token>/`. The agent holds an exclusive lock on `agent.lock` there for as long
as it lives; the kernel drops that lock however the agent ends, so the lock is the truth about it, and a second
agent on the same folder gives up at once. The lock is taken here and handed to the agent as an open file:
there is no instant at which an agent that is starting looks like one that has stopped.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from engine.clouds import local_files
from engine.clouds.local_files import HOST, MachinePaths
from engine.clouds.port import MachineDescription, MachineState, RentedMachine, RentFailedError, RentOrder
from engine.errors import InvalidInputError

_AGENT_MODULE: Final = "engine.serving.agent"  # started by name: providers do not import the agent
_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_STOP_TIMEOUT_S: Final = 30.0  # an agent waits 10 s for a shard before it kills it
_POLL_S: Final = 0.05
_CONNECT_TIMEOUT_S: Final = 1.0
_RELEASED_PREFIX: Final = ".released-"
# What processes need on this host, and what a user may set for vLLM, its libraries and its caches.
_KEPT_NAMES: Final = frozenset(
    {"HOME", "HF_HOME", "HF_HUB_OFFLINE", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "LOGNAME", "PATH", "SHELL", "TMPDIR"}
    | {"TZ", "USER", "TRANSFORMERS_OFFLINE", "VIRTUAL_ENV"}
)
_KEPT_PREFIXES: Final = ("LC_", "XDG_", "OMP_", "KMP_", "MKL_", "VLLM_", "TORCH_", "TORCHINDUCTOR_")
_SECRET_ENDINGS: Final = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")  # also of vLLM, such as VLLM_API_KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """Where local machines live.

    Attributes:
        home: folder of this installation; machines are below `home/agents`.
        vllm_python: interpreter of the environment that holds vLLM; need not exist yet.
    """

    home: Path
    vllm_python: Path


class LocalProvider:
    """Rents slots of this host."""

    name = "local"

    def __init__(
        self,
        settings: LocalSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._root = settings.home / "agents"
        self._clock = clock
        self._sleep = sleep

    def rent(self, order: RentOrder) -> RentedMachine:
        """Start the machine's agent, or find it running; see `CloudProvider.rent`."""
        paths = self._find_paths(order.machine_token)
        with self._guard(order.machine_token):
            lock = local_files.try_lock(paths.lock)
            if lock is None:  # it runs
                return RentedMachine(
                    machine_token=order.machine_token,
                    provider_ref=_read_ref(paths),
                    agent_url=_read_url(paths),
                )
            try:
                self._write_files(paths, order)
                pid = self._start_agent(paths, lock)
            finally:
                os.close(lock)
            return RentedMachine(
                machine_token=order.machine_token, provider_ref=f"pid-{pid}", agent_url=_read_url(paths)
            )

    def describe(self, machine_token: str) -> MachineDescription:
        """Return what the folder and the lock say; see `CloudProvider.describe`."""
        paths = self._find_paths(machine_token)
        tags = local_files.read_json(paths.tags)
        if tags is None:
            return MachineDescription(machine_token=machine_token, state=MachineState.GONE)
        return MachineDescription(
            machine_token=machine_token,
            state=_read_state(paths),
            deployment_name=str(tags["deployment_name"]),
            offer_id=str(tags["offer_id"]),
            provider_ref=_read_ref(paths),
            agent_url=_read_url(paths),
        )

    def list_tagged(self) -> tuple[MachineDescription, ...]:
        """Return every machine below the home folder."""
        if not self._root.is_dir():
            return ()
        tokens = sorted(path.parent.name for path in self._root.glob("*/machine.json") if _is_token(path.parent.name))
        return tuple(self.describe(token) for token in tokens)

    def stop(self, machine_token: str) -> None:
        """Stop the agent with all its shards, and keep the machine: `rent` starts it again.

        Raises:
            RentFailedError: something of it still runs afterwards.
        """
        paths = self._find_paths(machine_token)
        if not paths.folder.is_dir():
            return
        with self._guard(machine_token):
            self._stop_agent(paths)

    def release(self, machine_token: str) -> None:
        """Stop everything on the machine and delete it; see `CloudProvider.release`."""
        paths = self._find_paths(machine_token)
        if paths.folder.is_dir():
            with self._guard(machine_token):
                self._stop_agent(paths)
                paths.folder.rename(self._root / f"{_RELEASED_PREFIX}{machine_token}")
        shutil.rmtree(self._root / f"{_RELEASED_PREFIX}{machine_token}", ignore_errors=True)
        (self._root / f".{machine_token}.lock").unlink(missing_ok=True)

    def _find_paths(self, machine_token: str) -> MachinePaths:
        if not _is_token(machine_token):
            raise InvalidInputError("machine token is not a UUID", field="machine_token", remedy="give a UUID")
        return MachinePaths(folder=self._root / machine_token)

    @contextlib.contextmanager
    def _guard(self, machine_token: str) -> Iterator[None]:
        """Serialise rent, stop and release of one machine across processes."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._root / f".{machine_token}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _write_files(self, paths: MachinePaths, order: RentOrder) -> None:
        previous = local_files.read_json(paths.config)
        port = local_files.pick_port(preferred=int(str(previous["port"])) if previous else None)
        key_path, cert_path = paths.folder / "key.pem", paths.folder / "cert.pem"
        local_files.write_private(key_path, order.agent.key_pem)
        local_files.write_private(cert_path, order.agent.cert_pem)
        config = {
            "host": HOST,
            "port": port,
            "token_sha256": hashlib.sha256(order.agent.token.encode()).hexdigest(),
            "cert_path": str(cert_path),
            "key_path": str(key_path),
            "state_dir": str(paths.folder / "state"),
            "zygote_dir": str(self._root / "zygote"),
            "vllm_python": str(self._settings.vllm_python),
        }
        local_files.write_private(paths.config, json.dumps(config, indent=1))
        tags = {"deployment_name": order.deployment_name, "offer_id": order.offer_id}
        local_files.write_private(paths.tags, json.dumps(tags, indent=1))

    def _start_agent(self, paths: MachinePaths, lock: int) -> int:
        command = self._build_command(paths)
        os.ftruncate(lock, 0)  # nobody may take the number of an agent that has gone for this one's
        try:
            with paths.log.open("ab") as log:
                process = subprocess.Popen(
                    [*command, "--lock-fd", str(lock)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_agent_environment(),
                    cwd=paths.folder,
                    start_new_session=True,
                    pass_fds=[lock],
                )
        except OSError as error:
            raise RentFailedError(f"the agent cannot be started: {error}", provider=self.name) from error
        _children.append(process)
        os.pwrite(lock, f"{process.pid}\n".encode(), 0)  # the agent writes the same, for when this is killed before
        return process.pid

    def _build_command(self, paths: MachinePaths) -> list[str]:
        return [sys.executable, "-P", "-m", _AGENT_MODULE, "--config", str(paths.config)]

    def _stop_agent(self, paths: MachinePaths) -> None:
        """End the agent politely, then by force; a last run of it stops what it left behind, however it ended."""
        pid = _read_pid(paths)
        if local_files.is_locked(paths.lock) and pid is not None:
            _signal(pid, signal.SIGTERM)
            if not self._wait_unlocked(paths.lock):
                _signal(pid, signal.SIGKILL)
                self._wait_unlocked(paths.lock)
        if paths.config.is_file():
            self._clean_up(paths)

    def _clean_up(self, paths: MachinePaths) -> None:
        failure = f"shards of {paths.folder.name} could not be stopped, see {paths.log}"
        try:
            exit_code = self._run_clean_up(paths)
        except (subprocess.TimeoutExpired, OSError) as error:
            raise RentFailedError(f"{failure}: {error}", provider=self.name) from error
        if exit_code != 0:
            raise RentFailedError(failure, provider=self.name)

    def _run_clean_up(self, paths: MachinePaths) -> int:
        with paths.log.open("ab") as log:
            result = subprocess.run(
                [*self._build_command(paths), "--clean-up"],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_agent_environment(),
                cwd=paths.folder,
                timeout=2 * _STOP_TIMEOUT_S,
            )
        return result.returncode

    def _wait_unlocked(self, lock: Path) -> bool:
        deadline = self._clock() + _STOP_TIMEOUT_S
        while local_files.is_locked(lock):
            if self._clock() > deadline:
                return False
            self._sleep(_POLL_S)
        _reap_children()
        return True


_children: list[subprocess.Popen[bytes]] = []  # agents started by this process; reaped when they have ended


def _reap_children() -> None:
    _children[:] = [child for child in _children if child.poll() is None]


def _agent_environment() -> dict[str, str]:
    """Return what an agent and its shards may know of the console's environment; secrets of any kind stay here."""
    kept = {name: value for name, value in os.environ.items() if _is_kept(name)}
    return kept | {"PYTHONPATH": str(_CHECKOUT), "PYTHONUNBUFFERED": "1"}


def _is_kept(name: str) -> bool:
    is_listed = name in _KEPT_NAMES or name.startswith(_KEPT_PREFIXES)
    return is_listed and not name.endswith(_SECRET_ENDINGS)


def _is_token(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _read_state(paths: MachinePaths) -> MachineState:
    _reap_children()
    if not local_files.is_locked(paths.lock):
        return MachineState.STOPPED
    config = local_files.read_json(paths.config)
    if config is None:
        return MachineState.STARTING
    try:
        socket.create_connection((HOST, int(str(config["port"]))), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError:
        return MachineState.STARTING
    return MachineState.RUNNING


def _read_url(paths: MachinePaths) -> str:
    config = local_files.read_json(paths.config)
    return f"https://{HOST}:{config['port']}" if config else ""


def _read_ref(paths: MachinePaths) -> str:
    pid = _read_pid(paths)
    return f"pid-{pid}" if pid is not None else ""


def _read_pid(paths: MachinePaths) -> int | None:
    """Return the process id that the agent wrote into its lock file."""
    try:
        text = paths.lock.read_text().strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdigit() else None


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
