"""Real node agents on this host, and what they leave behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from engine.clouds.local import LocalProvider, LocalSettings
from engine.clouds.port import AgentBootstrap, MachineState, RentOrder
from engine.serving import files, processes
from engine.serving.certificates import create_agent_identity
from engine.serving.client import AgentClient, AgentUnreachableError
from engine.serving.protocol import AgentStatus, ShardReport, ShardSpec, ShardState

CHECKOUT = Path(__file__).resolve().parents[3]
VLLM_PYTHON = Path(os.environ.get("MEDLEY_VLLM_PYTHON", CHECKOUT / ".venv-vllm" / "bin" / "python"))
TIMEOUT_S = 90.0  # for a condition that takes seconds on a quiet machine


def wait_for(condition: Callable[[], bool], *, what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Ask until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {timeout_s:.0f} s: not {what}")
        time.sleep(0.05)


@dataclass(kw_only=True)
class LocalMachine:
    """One machine of the provider `local`, rented by the test."""

    provider: LocalProvider
    order: RentOrder
    home: Path

    @property
    def token(self) -> str:
        return self.order.machine_token

    @property
    def folder(self) -> Path:
        return self.home / "agents" / self.token

    @property
    def agent_pid(self) -> int:
        return int((self.folder / "agent.lock").read_text())

    def rent(self) -> str:
        url = self.provider.rent(self.order).agent_url
        wait_for(lambda: self.provider.describe(self.token).state is MachineState.RUNNING, what="running")
        return url

    def connect(self) -> AgentClient:
        url = self.provider.describe(self.token).agent_url
        return AgentClient(url, self.order.agent.cert_pem, self.order.agent.token)

    def get_status(self) -> AgentStatus:
        with self.connect() as client:
            return client.get_status()

    def get_shard(self, shard_id: str) -> ShardReport:
        return next(report for report in self.get_status().shards if report.shard_id == shard_id)

    def put(self, *specs: ShardSpec) -> None:
        with self.connect() as client:
            client.put_shards(specs)

    def wait_ready(self, *shard_ids: str, timeout_s: float = TIMEOUT_S) -> list[ShardReport]:
        """Wait until exactly these shards are ready and return their reports."""
        found: list[ShardReport] = []

        def is_ready() -> bool:
            try:
                found[:] = self.get_status().shards
            except AgentUnreachableError:
                return False
            return [report.shard_id for report in found] == list(shard_ids) and all(
                report.state is ShardState.READY for report in found
            )

        wait_for(is_ready, what=f"{shard_ids} ready", timeout_s=timeout_s)
        return found

    def kill_agent(self) -> None:
        os.kill(self.agent_pid, signal.SIGKILL)
        wait_for(lambda: self.provider.describe(self.token).state is MachineState.STOPPED, what="stopped")

    def list_processes(self) -> list[int]:
        """Return living processes that carry this home in their environment or command line."""
        needle = str(self.home).encode()
        return [pid for pid in list_pids() if pid != os.getpid() and needle in read_marks(pid)]

    def list_leftovers(self) -> list[Path]:
        """Return folders for sockets that still exist."""
        owners = (self.folder / "state", self.home / "agents" / "zygote")
        return [path for path in map(files.find_run_dir, owners) if path.exists()]


def list_pids() -> list[int]:
    """Return all living processes."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if processes.find_process(pid) is not None]


def read_marks(pid: int) -> bytes:
    """Return environment and command line of a process, empty when it has just gone."""
    try:
        return (Path("/proc") / str(pid) / "environ").read_bytes() + (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home folder of an installation."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def build_machine(home: Path) -> Iterator[Callable[[Path], LocalMachine]]:
    """Builder of machines; whatever a test leaves is released at the end."""
    built: list[LocalMachine] = []

    def build(vllm_python: Path) -> LocalMachine:
        identity = create_agent_identity(host="127.0.0.1", now=datetime.now(UTC))
        bootstrap = AgentBootstrap(token=identity.token, cert_pem=identity.cert_pem, key_pem=identity.key_pem)
        order = RentOrder(machine_token=str(uuid4()), deployment_name="chat", offer_id="local", agent=bootstrap)
        provider = LocalProvider(LocalSettings(home=home, vllm_python=vllm_python))
        machine = LocalMachine(provider=provider, order=order, home=home)
        built.append(machine)
        return machine

    yield build
    for machine in built:
        machine.provider.release(machine.token)


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """Interpreter of the serving environment."""
    if not VLLM_PYTHON.exists():
        pytest.skip(f"real vLLM is not installed: {VLLM_PYTHON} does not exist")
    return VLLM_PYTHON


@pytest.fixture(scope="session")
def demo_model(vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model, made anew."""
    out_dir = tmp_path_factory.mktemp("models") / "demo"
    subprocess.run(
        [vllm_python, "-P", "-m", "engine.serving.demo_model", out_dir],
        check=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
    )
    return out_dir
