"""A machine without processes: shards that live, die and fall silent on command, under a clock that jumps."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.serving.launch_args import ShardLaunch
from engine.serving.processes import ProcessRef
from engine.serving.protocol import ShardSpec, VllmAvailability
from engine.serving.shard_folder import ShardFolder
from engine.serving.shard_host import ShardStartError
from engine.serving.shard_probe import Health
from engine.serving.supervisor import ShardTools

MAX_STEPS = 20_000


@dataclass(kw_only=True)
class FakeMachine:
    """Host, probe and clock in one; `living` maps shard id -> its process."""

    living: dict[str, ProcessRef] = field(default_factory=dict)
    starts: list[tuple[float, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    health: dict[int, Health] = field(default_factory=dict)
    start_failures: int = 0
    dies_at_start: bool = False
    is_installed: bool = True
    start_timeout_s: float = 30.0
    time_s: float = 0.0
    next_pid: int = 100

    def check_vllm(self) -> VllmAvailability:
        return VllmAvailability(is_available=self.is_installed, reason="" if self.is_installed else "not there")

    def describe_wait(self) -> str:
        return ""

    async def prepare(self) -> None:
        return

    async def start(self, folder: ShardFolder, launch: ShardLaunch) -> ProcessRef:
        self.starts.append((self.time_s, folder.path.name))
        if self.start_failures > 0:
            self.start_failures -= 1
            raise ShardStartError("no memory left")
        self.next_pid += 1
        process = ProcessRef(pid=self.next_pid, start_ticks=self.next_pid)
        if not self.dies_at_start:
            self.living[folder.path.name] = process
        return process

    def find_running(self, folder: ShardFolder) -> ProcessRef | None:
        return self.living.get(folder.path.name)

    def is_alive(self, process: ProcessRef) -> bool:
        return process in self.living.values()

    async def end(self, folder: ShardFolder, process: ProcessRef | None) -> None:
        if self.living.pop(folder.path.name, None) is not None:
            self.ended.append(folder.path.name)

    async def describe_end(self, folder: ShardFolder, process: ProcessRef) -> str:
        return "killed by SIGKILL"

    async def check_health(self, port: int) -> Health:
        return self.health.get(port, Health.OK)

    async def warm_up(self, port: int, served_model_name: str) -> str:
        return ""

    async def sleep(self, delay_s: float) -> None:
        self.time_s += delay_s
        await asyncio.sleep(0)

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.time_s)

    def tools(self) -> ShardTools:
        return ShardTools(host=self, probe=self, sleep=self.sleep, now=self.now)

    def kill(self, shard_id: str) -> None:
        del self.living[shard_id]


async def wait_until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until the condition holds."""
    for _ in range(MAX_STEPS):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("the condition never held")


@pytest.fixture
def machine() -> FakeMachine:
    """An idle machine."""
    return FakeMachine()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], object]:
    """The waiting helper."""
    return wait_until


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """State folder of an agent."""
    return tmp_path / "state"


def build_spec(shard_id: str = "chat-r1", **changes: object) -> ShardSpec:
    """Return a specification with plain values."""
    data = {
        "shard_id": shard_id,
        "model_path": "/models/demo",
        "served_model_name": "demo",
        "max_model_len": 2048,
        "max_num_seqs": 16,
        "max_num_batched_tokens": 2048,
        "kv_cache_memory_bytes": 67108864,
    }
    return ShardSpec.model_validate(data | changes)


@pytest.fixture
def make_spec() -> Callable[..., ShardSpec]:
    """Builder of specifications."""
    return build_spec
