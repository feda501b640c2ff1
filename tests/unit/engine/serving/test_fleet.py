"""The declared list made true."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.serving.fleet import Fleet
from engine.serving.protocol import ShardSpec, ShardState

Until = Callable[[Callable[[], bool]], Awaitable[None]]
MakeSpec = Callable[..., ShardSpec]


@pytest.fixture
def build(machine: Any, state_dir: Path) -> Callable[[], Fleet]:
    """Builder of fleets on the same folder, as successive agents would make them."""
    state_dir.mkdir()
    return lambda: Fleet(state_dir=state_dir, tools=machine.tools())


def states(fleet: Fleet) -> dict[str, str]:
    return {report.shard_id: report.state.value for report in fleet.list_reports()}


async def kill_agent() -> None:
    """Drop whatever an agent was doing, as SIGKILL does: its shards go on."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class TestFleet:
    async def test_starts_what_is_declared_once(
        self, machine: Any, build: Callable[[], Fleet], make_spec: MakeSpec, until: Until
    ) -> None:
        fleet = build()
        for _ in range(3):
            fleet.put([make_spec("a"), make_spec("b")])
        assert states(fleet) == {"a": "pending", "b": "pending"}
        await until(lambda: states(fleet) == {"a": "ready", "b": "ready"})
        assert sorted(shard_id for _, shard_id in machine.starts) == ["a", "b"]
        await fleet.close()

    async def test_stops_the_others_when_one_cannot_be_stopped(
        self,
        machine: Any,
        build: Callable[[], Fleet],
        make_spec: MakeSpec,
        until: Until,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fleet = build()
        fleet.put([make_spec("a"), make_spec("b")])
        await until(lambda: states(fleet) == {"a": "ready", "b": "ready"})
        end = machine.end

        async def refuse_one(folder: Any, process: Any) -> None:
            if folder.path.name == "a":
                raise OSError("no such device")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await end(folder, process)

        monkeypatch.setattr(machine, "end", refuse_one)
        await fleet.close()
        assert (list(machine.living), machine.ended) == (["a"], ["b"])

    async def test_stops_what_is_no_longer_declared(
        self, machine: Any, build: Callable[[], Fleet], make_spec: MakeSpec, until: Until, state_dir: Path
    ) -> None:
        fleet = build()
        fleet.put([make_spec("a"), make_spec("b")])
        await until(lambda: states(fleet) == {"a": "ready", "b": "ready"})
        fleet.put([make_spec("b")])
        await until(lambda: states(fleet) == {"b": "ready"})
        assert (machine.ended, list(machine.living)) == (["a"], ["b"])
        assert not (state_dir / "shards" / "a").exists()
        await fleet.close()

    async def test_replaces_a_shard_whose_specification_changed(
        self, machine: Any, build: Callable[[], Fleet], make_spec: MakeSpec, until: Until
    ) -> None:
        fleet = build()
        fleet.put([make_spec("a")])
        await until(lambda: states(fleet) == {"a": "ready"})
        fleet.put([make_spec("a", max_num_seqs=32)])
        await until(lambda: len(machine.starts) == 2 and states(fleet) == {"a": "ready"})
        assert machine.ended == ["a"]
        await fleet.close()

    async def test_takes_over_after_a_killed_agent(
        self, machine: Any, build: Callable[[], Fleet], make_spec: MakeSpec, until: Until
    ) -> None:
        first = build()
        first.put([make_spec("a"), make_spec("b")])
        await until(lambda: states(first) == {"a": "ready", "b": "ready"})
        await kill_agent()
        second = build()
        await second.restore()
        assert second.list_reports() == first.list_reports()
        second.put([make_spec("a"), make_spec("b")])
        assert len(machine.starts) == 2
        await second.close()
        assert machine.living == {}

    async def test_ends_what_a_killed_agent_was_about_to_remove(
        self, machine: Any, build: Callable[[], Fleet], make_spec: MakeSpec, until: Until
    ) -> None:
        first = build()
        first.put([make_spec("a"), make_spec("b")])
        await until(lambda: states(first) == {"a": "ready", "b": "ready"})
        first.put([make_spec("b")])
        await kill_agent()
        assert sorted(machine.living) == ["a", "b"]
        second = build()
        await second.restore()
        assert list(machine.living) == ["b"]
        assert states(second) == {"b": "ready"}
        await second.close()

    async def test_keeps_the_list_for_the_next_agent_when_closed(
        self, machine: Any, build: Callable[[], Fleet], make_spec: MakeSpec, until: Until
    ) -> None:
        first = build()
        first.put([make_spec("a")])
        await until(lambda: states(first) == {"a": "ready"})
        await first.close()
        assert (machine.living, first.list_reports()) == ({}, [])
        second = build()
        await second.restore()
        await until(lambda: states(second) == {"a": ShardState.READY.value})
        await second.close()

    async def test_ends_all_without_taking_over(
        self, machine: Any, build: Callable[[], Fleet], make_spec: MakeSpec, until: Until
    ) -> None:
        first = build()
        first.put([make_spec("a"), make_spec("b")])
        await until(lambda: states(first) == {"a": "ready", "b": "ready"})
        await kill_agent()
        await build().end_all()
        assert machine.living == {}
