"""One shard's life under a fake machine and clock."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.serving.protocol import ShardSpec, ShardState
from engine.serving.shard_folder import ShardFolder
from engine.serving.shard_probe import Health
from engine.serving.supervisor import ShardSupervisor, find_record

Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def folder(state_dir: Path) -> ShardFolder:
    """Folder of the shard under test."""
    return ShardFolder(path=state_dir / "shards" / "chat-r1")


@pytest.fixture
def build(
    machine: Any, folder: ShardFolder, make_spec: Callable[..., ShardSpec], tmp_path: Path
) -> Callable[[], ShardSupervisor]:
    """Builder of supervisors of the same shard, as successive agents would make them."""
    rpc_dir = tmp_path / "run" / "r1"
    return lambda: ShardSupervisor(spec=make_spec(), folder=folder, rpc_dir=rpc_dir, tools=machine.tools())


@asynccontextmanager
async def running(supervisor: ShardSupervisor) -> AsyncIterator[asyncio.Task[None]]:
    """Run the supervisor and drop it afterwards, as SIGKILL drops an agent: nothing is stopped."""
    task = asyncio.create_task(supervisor.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def is_ready(supervisor: ShardSupervisor) -> Callable[[], bool]:
    return lambda: supervisor.report().state is ShardState.READY


class TestShardSupervisor:
    async def test_starts_once_and_becomes_ready(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until, folder: ShardFolder
    ) -> None:
        supervisor = build()
        assert supervisor.report().state is ShardState.PENDING
        async with running(supervisor):
            await until(is_ready(supervisor))
            report = supervisor.report()
        assert (report.pid, report.num_restarts, len(machine.starts)) == (101, 0, 1)
        assert report.url == f"http://127.0.0.1:{report.port}"
        record = find_record(folder)
        assert record is not None
        assert (record.port, record.ready_at) == (report.port, report.ready_at)

    async def test_restarts_a_killed_shard_at_once_on_its_port(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        supervisor = build()
        async with running(supervisor):
            await until(is_ready(supervisor))
            port, killed_at_s = supervisor.report().port, machine.time_s
            machine.kill("chat-r1")
            await until(lambda: len(machine.starts) == 2 and is_ready(supervisor)())
            report = supervisor.report()
        assert (report.pid, report.port, report.num_restarts) == (102, port, 1)
        assert machine.starts[1][0] - killed_at_s <= 0.25

    async def test_waits_a_little_for_the_port_of_a_killed_process(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        supervisor = build()
        async with running(supervisor):
            await until(is_ready(supervisor))
            port = supervisor.report().port
            with socket.socket() as lingering:
                lingering.bind(("127.0.0.1", port))
                lingering.listen()
                machine.kill("chat-r1")
                await until(lambda: supervisor.report().state is ShardState.RESTARTING)
                noticed_at_s = machine.time_s
                await until(lambda: machine.time_s > noticed_at_s)
                assert len(machine.starts) == 1
            await until(lambda: len(machine.starts) == 2 and is_ready(supervisor)())
            assert supervisor.report().port == port

    async def test_takes_another_port_when_its_own_stays_taken(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        supervisor = build()
        async with running(supervisor):
            await until(is_ready(supervisor))
            port = supervisor.report().port
            with socket.socket() as other:
                other.bind(("127.0.0.1", port))
                other.listen()
                machine.kill("chat-r1")
                await until(lambda: len(machine.starts) == 2 and is_ready(supervisor)())
            assert supervisor.report().port not in {None, port}

    async def test_backs_off_from_repeated_crashes_and_then_counts_as_failed(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        machine.dies_at_start = True
        supervisor = build()
        async with running(supervisor):
            await until(lambda: len(machine.starts) == 6)
            report = supervisor.report()
        starts = [at_s for at_s, _ in machine.starts]
        assert [round(b - a) for a, b in zip(starts, starts[1:], strict=False)] == [0, 1, 2, 4, 8]
        assert (report.state, report.num_restarts) == (ShardState.FAILED, 5)
        assert report.reason == "killed by SIGKILL; next start in 8 s"

    async def test_recovers_from_failed_by_itself(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        machine.start_failures = 5
        supervisor = build()
        async with running(supervisor):
            await until(lambda: supervisor.report().state is ShardState.FAILED)
            assert supervisor.report().reason == "no memory left; next start in 8 s"
            await until(is_ready(supervisor))
        assert len(machine.starts) == 6

    async def test_counts_anew_after_a_stable_time(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        supervisor = build()
        async with running(supervisor):
            for crash in range(1, 4):
                await until(lambda crash=crash: len(machine.starts) == crash and is_ready(supervisor)())
                stable_until_s = machine.time_s + 60.0
                await until(lambda end_s=stable_until_s: machine.time_s >= end_s)
                killed_at_s = machine.time_s
                machine.kill("chat-r1")
                await until(lambda crash=crash: len(machine.starts) == crash + 1)
                assert machine.starts[-1][0] - killed_at_s <= 0.25

    async def test_adopts_what_a_killed_agent_left(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        first = build()
        async with running(first):
            await until(is_ready(first))
        second = build()
        await second.adopt()
        assert second.report() == first.report()
        async with running(second):
            await until(lambda: machine.time_s > 10.0)
            assert second.report() == first.report()
        assert len(machine.starts) == 1
        assert machine.ended == []

    async def test_adopts_a_shard_that_was_still_starting(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        first = build()
        async with running(first):
            await until(lambda: first.report().port is not None)
            machine.health[first.report().port] = Health.SILENT
            await until(lambda: "chat-r1" in machine.living)
        second = build()
        await second.adopt()
        assert second.report().state is ShardState.PENDING
        async with running(second):
            await until(lambda: second.report().state is ShardState.STARTING)
            machine.health.clear()
            await until(is_ready(second))
        assert len(machine.starts) == 1

    async def test_replaces_a_shard_whose_engine_died(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        supervisor = build()
        async with running(supervisor):
            await until(is_ready(supervisor))
            machine.health[supervisor.report().port] = Health.DEAD
            await until(lambda: supervisor.report().state is ShardState.RESTARTING)
            assert supervisor.report().reason == "its engine process died"
            machine.health.clear()
            await until(is_ready(supervisor))
        assert machine.ended == ["chat-r1"]

    async def test_is_unhealthy_while_silent_and_ready_again_after(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        supervisor = build()
        async with running(supervisor):
            await until(is_ready(supervisor))
            machine.health[supervisor.report().port] = Health.SILENT
            await until(lambda: supervisor.report().state is ShardState.UNHEALTHY)
            machine.health.clear()
            await until(is_ready(supervisor))
        assert (len(machine.starts), supervisor.report().reason) == (1, "")

    async def test_is_replaced_after_long_silence(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        supervisor = build()
        async with running(supervisor):
            await until(is_ready(supervisor))
            machine.health[supervisor.report().port] = Health.SILENT
            await until(lambda: machine.ended == ["chat-r1"])
            assert supervisor.report().reason == "it did not answer health checks"

    async def test_gives_up_a_start_that_never_answers(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        supervisor = build()
        async with running(supervisor):
            await until(lambda: supervisor.report().port is not None)
            machine.health[supervisor.report().port] = Health.SILENT
            await until(lambda: machine.ended == ["chat-r1"])
            assert supervisor.report().reason == "did not answer within 30 s"

    async def test_waits_for_vllm_with_the_reason(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until
    ) -> None:
        machine.is_installed = False
        supervisor = build()
        async with running(supervisor):
            await until(lambda: machine.time_s > 3.0)
            assert (supervisor.report().state, supervisor.report().reason) == (ShardState.PENDING, "not there")
            machine.is_installed = True
            await until(is_ready(supervisor))

    async def test_leaves_nothing_when_stopped(
        self, machine: Any, build: Callable[[], ShardSupervisor], until: Until, tmp_path: Path
    ) -> None:
        supervisor = build()
        async with running(supervisor) as task:
            await until(is_ready(supervisor))
            assert (tmp_path / "run" / "r1").is_dir()
            await supervisor.stop(task)
        assert (machine.living, machine.ended) == ({}, ["chat-r1"])
        assert not (tmp_path / "run" / "r1").exists()
        assert (supervisor.report().state, supervisor.report().pid) == (ShardState.STOPPED, None)
