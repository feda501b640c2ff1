"""A real agent on a host without vLLM: its identity, its life and its answers."""

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.clouds.port import MachineState
from engine.serving.certificates import create_agent_identity
from engine.serving.client import AgentClient, AgentRefusedError, AgentUnreachableError
from engine.serving.protocol import ShardSpec, ShardState


@pytest.fixture
def machine(build_machine: Callable[[Path], Any], tmp_path: Path) -> Any:
    """A rented machine on which vLLM is missing."""
    machine = build_machine(tmp_path / "none" / "bin" / "python")
    machine.rent()
    yield machine
    machine.provider.release(machine.token)


SPEC = ShardSpec(
    shard_id="chat-r1",
    model_path="/models/demo",
    served_model_name="demo",
    max_model_len=2048,
    max_num_seqs=16,
    max_num_batched_tokens=2048,
    kv_cache_memory_bytes=2**26,
)


class TestIdentity:
    def test_is_pinned(self, machine: Any, now: datetime) -> None:
        other = create_agent_identity(host="127.0.0.1", now=now)
        url = machine.provider.describe(machine.token).agent_url
        with (
            AgentClient(url, other.cert_pem, machine.order.agent.token) as client,
            pytest.raises(AgentUnreachableError, match="certificate verify failed"),
        ):
            client.get_status()

    def test_asks_for_the_token_on_every_route(self, machine: Any) -> None:
        url = machine.provider.describe(machine.token).agent_url
        with AgentClient(url, machine.order.agent.cert_pem, "wrong") as client:
            for call in (client.get_status, client.get_metrics, lambda: client.put_shards([SPEC])):
                with pytest.raises(AgentRefusedError) as caught:
                    call()
                assert caught.value.data["status"] == 401
        assert machine.get_status().shards == []

    def test_keeps_its_secrets_to_its_owner(self, machine: Any) -> None:
        for name in ("config.json", "key.pem", "machine.json"):
            assert (machine.folder / name).stat().st_mode & 0o077 == 0
        assert machine.order.agent.token not in (machine.folder / "config.json").read_text()


class TestAnswers:
    def test_says_why_a_shard_waits(self, machine: Any) -> None:
        machine.put(SPEC)
        status = machine.get_status()
        assert [shard.state for shard in status.shards] == [ShardState.PENDING]
        assert not status.vllm.is_available
        assert status.vllm.reason.startswith("vLLM is not installed")

    def test_refuses_a_reserved_argument_and_changes_nothing(self, machine: Any) -> None:
        spec = SPEC.model_copy(update={"extra_args": {"host": "0.0.0.0"}})  # noqa: S104  # it must be refused
        with pytest.raises(AgentRefusedError, match="'host' is set by the agent"):
            machine.put(spec)
        assert machine.get_status().shards == []

    def test_names_the_wrong_field(self, machine: Any) -> None:
        agent = machine.order.agent
        url = machine.provider.describe(machine.token).agent_url
        with AgentClient(url, agent.cert_pem, agent.token) as client:
            answer = client._http.put("/v1/shards", json={"shards": [{"shard_id": "a"}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (httpx.codes.BAD_REQUEST, "invalid_input")
        assert answer.json()["error"]["message"] == "shards.0.model_path: Field required"

    def test_knows_no_log_of_a_stranger(self, machine: Any) -> None:
        with machine.connect() as client, pytest.raises(AgentRefusedError) as caught:
            client.get_log("..%2f..%2fconfig.json")
        assert caught.value.data["status"] == 404


class TestLife:
    def test_is_rented_once(self, machine: Any) -> None:
        pid = machine.agent_pid
        assert machine.provider.rent(machine.order).provider_ref == f"pid-{pid}"
        assert machine.agent_pid == pid

    def test_refuses_a_second_agent(self, machine: Any) -> None:
        command = [sys.executable, "-m", "engine.serving.agent", "--config", machine.folder / "config.json"]
        second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        assert second.returncode == 75
        assert "another agent already runs" in second.stderr
        assert machine.get_status().shards == []

    def test_comes_back_on_its_port_with_its_list(self, machine: Any) -> None:
        machine.put(SPEC)
        url = machine.provider.describe(machine.token).agent_url
        machine.kill_agent()
        assert machine.rent() == url
        assert [shard.shard_id for shard in machine.get_status().shards] == ["chat-r1"]

    def test_can_be_stopped_and_rented_again(self, machine: Any) -> None:
        machine.provider.stop(machine.token)
        assert machine.provider.describe(machine.token).state is MachineState.STOPPED
        assert machine.list_processes() == []
        machine.rent()
        assert machine.get_status().shards == []

    def test_is_gone_without_a_trace_once_released(self, machine: Any) -> None:
        tagged = [one.machine_token for one in machine.provider.list_tagged()]
        assert tagged == [machine.token]
        for _ in range(2):
            machine.provider.release(machine.token)
        assert machine.provider.describe(machine.token).state is MachineState.GONE
        assert (machine.provider.list_tagged(), machine.list_processes(), machine.list_leftovers()) == ((), [], [])

    def test_is_released_after_its_agent_was_killed(self, machine: Any) -> None:
        machine.kill_agent()
        machine.provider.release(machine.token)
        assert machine.provider.describe(machine.token).state is MachineState.GONE
