"""Real vLLM shards on this host: started, served, killed, adopted, stopped. One machine for the whole file."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.clouds.port import MachineState
from engine.serving import processes
from engine.serving.protocol import ShardReport, ShardSpec, ShardState

pytestmark = [pytest.mark.serving, pytest.mark.slow]

PROMPT = list(range(10, 74))  # token ids; 64 of them


def build_spec(shard_id: str, model: Path, **changes: object) -> ShardSpec:
    data = {
        "shard_id": shard_id,
        "model_path": str(model),
        "served_model_name": "demo",
        "max_model_len": 2048,
        "max_num_seqs": 16,
        "max_num_batched_tokens": 2048,
        "kv_cache_memory_bytes": 64 * 2**20,
    }
    return ShardSpec.model_validate(data | changes)


def complete(shard: ShardReport, **changes: object) -> dict[str, Any]:
    """Return the answer to one greedy completion."""
    body = {"model": "demo", "prompt": PROMPT, "max_tokens": 12, "temperature": 0, "return_token_ids": True}
    answer = httpx.post(f"{shard.url}/v1/completions", json=body | changes, timeout=60)
    answer.raise_for_status()
    data: dict[str, Any] = answer.json()
    return data


def read_session(shard: ShardReport) -> set[int]:
    assert shard.pid is not None
    leader = processes.find_process(shard.pid)
    assert leader is not None
    return set(processes.list_session(leader))


def is_alive(pid: int) -> bool:
    return processes.find_process(pid) is not None


def is_engine(pid: int) -> bool:
    return (Path("/proc") / str(pid) / "comm").read_text().startswith("VLLM::EngineCor")


def is_zygote(pid: int, shards: list[ShardReport]) -> bool:
    """Return whether this is the process that shards were forked from: it looks like them, but leads none."""
    members = set().union(*(read_session(shard) for shard in shards))
    return b"engine.serving.zygote" in (Path("/proc") / str(pid) / "cmdline").read_bytes() and pid not in members


def machine_wait(machine: Any, condition: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    """Ask until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"it never happened; the agent says {machine.get_status()}")
        time.sleep(0.05)


@pytest.fixture(scope="module")
def machine(build_machine: Callable[[Path], Any], vllm_python: Path) -> Any:
    """A rented machine; vLLM is loaded once for all tests here."""
    machine = build_machine(vllm_python)
    machine.rent()
    return machine


@pytest.fixture
def shards(machine: Any, demo_model: Path) -> list[ShardReport]:
    """Two ready shards, whatever the test before did."""
    machine.put(build_spec("chat-r1", demo_model), build_spec("chat-r2", demo_model))
    reports: list[ShardReport] = machine.wait_ready("chat-r1", "chat-r2")
    return reports


class TestServing:
    def test_answers_and_streams(self, machine: Any, shards: list[ShardReport]) -> None:
        first, second = (complete(shard)["choices"][0]["token_ids"] for shard in shards)
        assert (len(first), first) == (12, second)
        body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "stream": True}
        with httpx.stream("POST", f"{shards[0].url}/v1/chat/completions", json=body, timeout=60) as answer:
            lines = [line for line in answer.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        assert json.loads(lines[0].removeprefix("data: "))["object"] == "chat.completion.chunk"

    def test_counts_tokens(self, machine: Any, shards: list[ShardReport]) -> None:
        with machine.connect() as client:
            before = {one.shard_id: one for one in client.get_metrics()}
            complete(shards[0], max_tokens=7, ignore_eos=True)
            after = {one.shard_id: one for one in client.get_metrics()}
        assert after["chat-r1"].generation_tokens_total - before["chat-r1"].generation_tokens_total == 7
        assert after["chat-r1"].prompt_tokens_total - before["chat-r1"].prompt_tokens_total == len(PROMPT)
        assert after["chat-r2"].generation_tokens_total == before["chat-r2"].generation_tokens_total
        assert (after["chat-r1"].num_running, after["chat-r1"].num_waiting) == (0, 0)

    def test_shows_its_log(self, machine: Any, shards: list[ShardReport]) -> None:
        with machine.connect() as client:
            assert "Application startup complete." in client.get_log("chat-r1", 5)[-1]

    def test_is_pinned_and_on_loopback_only(self, machine: Any, shards: list[ShardReport]) -> None:
        for pid in read_session(shards[0]):
            variables = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
            assert {b"OMP_NUM_THREADS=1", b"HF_HUB_OFFLINE=1", b"TORCH_COMPILE_DISABLE=1"} <= set(variables)
        hexadecimal = f":{shards[0].port:04X}"
        listening = [
            fields[1]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if (fields := line.split())[1].endswith(hexadecimal) and fields[3] == "0A"
        ]
        assert listening == [f"0100007F{hexadecimal}"]

    def test_splits_layers_over_a_pipeline(self, machine: Any, shards: list[ShardReport], demo_model: Path) -> None:
        expected = complete(shards[0])["choices"][0]["token_ids"]
        machine.put(build_spec("chat-pp", demo_model, pipeline_parallel=2, layer_partition=[3, 5]))
        (shard,) = machine.wait_ready("chat-pp")
        assert complete(shard)["choices"][0]["token_ids"] == expected


class TestCrashes:
    def test_a_killed_server_is_replaced_on_its_port(self, machine: Any, shards: list[ShardReport]) -> None:
        first, second = shards
        session = read_session(first)
        assert len(session) == 2  # server and engine
        os.kill(first.pid or 0, signal.SIGKILL)
        machine_wait(machine, lambda: machine.get_shard("chat-r1").num_restarts == first.num_restarts + 1)
        (again, other) = machine.wait_ready("chat-r1", "chat-r2")
        assert (again.port, other) == (first.port, second)
        assert not [pid for pid in session if is_alive(pid)]
        assert len(complete(again)["choices"][0]["token_ids"]) == 12

    def test_a_killed_engine_is_replaced_with_its_server(self, machine: Any, shards: list[ShardReport]) -> None:
        _, second = shards
        session = read_session(second)
        (engine,) = session - {second.pid}
        os.kill(engine, signal.SIGKILL)
        machine_wait(machine, lambda: machine.get_shard("chat-r2").num_restarts == second.num_restarts + 1)
        (_, again) = machine.wait_ready("chat-r1", "chat-r2")
        assert again.port == second.port
        assert not [pid for pid in session if is_alive(pid)]

    def test_a_model_that_is_not_there_fails_with_the_reason(
        self, machine: Any, shards: list[ShardReport], tmp_path: Path, demo_model: Path
    ) -> None:
        machine.put(*(build_spec(shard.shard_id, demo_model) for shard in shards), build_spec("lost", tmp_path / "x"))
        machine_wait(machine, lambda: machine.get_shard("lost").num_restarts >= 2)
        report = machine.get_shard("lost")
        assert report.state in {ShardState.RESTARTING, ShardState.FAILED}
        assert report.reason.startswith("ended with code 1")
        assert machine.get_shard("chat-r1") == shards[0]


class TestAdoption:
    def test_shards_serve_on_without_an_agent_and_are_adopted(self, machine: Any, shards: list[ShardReport]) -> None:
        sessions = [read_session(shard) for shard in shards]
        machine.kill_agent()
        assert len(complete(shards[0])["choices"][0]["token_ids"]) == 12
        machine.rent()
        assert machine.wait_ready("chat-r1", "chat-r2") == shards
        assert [read_session(shard) for shard in shards] == sessions
        engines = [pid for pid in machine.list_processes() if is_engine(pid)]
        assert len(engines) == 2

    def test_an_adopted_shard_is_still_watched(self, machine: Any, shards: list[ShardReport]) -> None:
        machine.kill_agent()
        os.kill(shards[0].pid or 0, signal.SIGKILL)  # dies while nobody looks
        machine.rent()
        (again, other) = machine.wait_ready("chat-r1", "chat-r2")
        assert again.pid != shards[0].pid
        assert (again.port, other) == (shards[0].port, shards[1])

    def test_shards_outlive_the_preloaded_process(self, machine: Any, shards: list[ShardReport]) -> None:
        (zygote,) = [pid for pid in machine.list_processes() if is_zygote(pid, shards)]
        os.kill(zygote, signal.SIGKILL)
        machine_wait(machine, lambda: not is_alive(zygote))
        assert machine.get_status().shards == shards
        os.kill(shards[1].pid or 0, signal.SIGKILL)
        machine_wait(machine, lambda: machine.get_shard("chat-r2").num_restarts == shards[1].num_restarts + 1)
        machine.wait_ready("chat-r1", "chat-r2")


class TestEnd:
    def test_release_after_a_killed_agent_ends_orphans(
        self, build_machine: Callable[[Path], Any], vllm_python: Path, demo_model: Path, shards: list[ShardReport]
    ) -> None:
        second = build_machine(vllm_python)
        second.rent()
        second.put(build_spec("other-r1", demo_model))
        (shard,) = second.wait_ready("other-r1")
        session = read_session(shard)
        second.kill_agent()
        assert session <= set(second.list_processes())
        second.provider.release(second.token)
        assert not [pid for pid in session if is_alive(pid)]

    def test_sigterm_leaves_no_process_and_no_socket(self, machine: Any, shards: list[ShardReport]) -> None:
        sessions = set().union(*(read_session(shard) for shard in shards))
        assert sessions < set(machine.list_processes())
        assert len(machine.list_leftovers()) == 2
        os.kill(machine.agent_pid, signal.SIGTERM)
        machine_wait(machine, lambda: machine.provider.describe(machine.token).state is MachineState.STOPPED)
        assert machine.list_processes() == []
        assert not [pid for pid in sessions if is_alive(pid)]
        assert machine.list_leftovers() == []


class TestPlainStart:
    @pytest.fixture
    def plain_machine(self, build_machine: Callable[[Path], Any], vllm_python: Path) -> Iterator[Any]:
        """A machine whose agent never preloads."""
        machine = build_machine(vllm_python)
        machine.rent()
        machine.provider.stop(machine.token)
        config = machine.folder / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"start_method": "plain"}))
        command = [sys.executable, "-m", "engine.serving.agent", "--config", config]
        with subprocess.Popen(command, start_new_session=True) as agent:
            machine_wait(machine, lambda: machine.provider.describe(machine.token).state is MachineState.RUNNING)
            yield machine
            agent.terminate()
            assert agent.wait(timeout=30) == 0

    def test_serves_the_same(self, plain_machine: Any, demo_model: Path) -> None:
        plain_machine.put(build_spec("plain-r1", demo_model))
        (shard,) = plain_machine.wait_ready("plain-r1", timeout_s=300)
        assert len(complete(shard)["choices"][0]["token_ids"]) == 12
        session = read_session(shard)
        plain_machine.put()
        machine_wait(plain_machine, lambda: plain_machine.get_status().shards == [])
        assert not [pid for pid in session if is_alive(pid)]
