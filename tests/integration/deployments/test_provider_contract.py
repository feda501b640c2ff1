"""What providers and agents promise: the same tests on the real local one and on the fake of the unit tests."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from engine.clouds.local import LocalProvider, LocalSettings
from engine.clouds.port import AgentBootstrap, CloudProvider, MachineDescription, MachineState, RentOrder
from engine.errors import InvalidInputError
from engine.serving.certificates import create_agent_identity
from engine.serving.client import AgentRefusedError, AgentUnreachableError
from engine.serving.protocol import ShardSpec, ShardState, VllmAvailability
from tests.support.fake_cloud import FakeCloud
from webapp.deployments.access import Agent, AgentAccess, connect_agent

TIMEOUT_S = 60.0
SPEC = ShardSpec(
    shard_id="chat-r1-00000000",
    model_path="/models/demo",
    served_model_name="demo",
    max_model_len=2048,
    max_num_seqs=16,
    max_num_batched_tokens=2048,
    kv_cache_memory_bytes=2**26,
)


@dataclass(kw_only=True)
class Place:
    """A provider with the way to its agents, and to their end."""

    provider: CloudProvider
    connect: Callable[[AgentAccess], Agent]
    kill_agent: Callable[[str], None]

    def wait_for(self, token: str, state: MachineState) -> MachineDescription:
        """Ask until the machine is in a state."""
        deadline = time.monotonic() + TIMEOUT_S
        while (seen := self.provider.describe(token)).state is not state:
            assert time.monotonic() < deadline, f"{seen.state} instead of {state}"
            time.sleep(0.05)
        return seen

    def open_agent(self, order: RentOrder, **changes: str) -> Agent:
        """Return a client of a running machine's agent."""
        data = {
            "url": self.wait_for(order.machine_token, MachineState.RUNNING).agent_url,
            "cert_pem": order.agent.cert_pem,
            "token": order.agent.token,
        } | changes
        return self.connect(AgentAccess(machine_id=1, deployment_id=1, deployment_name="chat", **data))


def define_order() -> RentOrder:
    identity = create_agent_identity(host="127.0.0.1", now=datetime.now(UTC))
    agent = AgentBootstrap(token=identity.token, cert_pem=identity.cert_pem, key_pem=identity.key_pem)
    return RentOrder(machine_token=str(uuid4()), deployment_name="chat", offer_id="local:x", agent=agent)


@pytest.fixture(params=["real", "fake"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The real provider without vLLM, and the fake one."""
    if request.param == "fake":
        cloud = FakeCloud(vllm=VllmAvailability(is_available=False, reason="vLLM is not installed"))
        yield Place(provider=cloud, connect=cloud.connect, kill_agent=cloud.kill_agent)
        return
    provider = LocalProvider(LocalSettings(home=tmp_path, vllm_python=tmp_path / "none" / "bin" / "python"))

    def kill_agent(token: str) -> None:
        os.kill(int((tmp_path / "agents" / token / "agent.lock").read_text()), signal.SIGKILL)

    yield Place(provider=provider, connect=connect_agent, kill_agent=kill_agent)
    for machine in provider.list_tagged():
        provider.release(machine.machine_token)


class TestProvider:
    def test_rents_once_per_token(self, place: Place) -> None:
        order = define_order()
        first = place.provider.rent(order)
        place.wait_for(order.machine_token, MachineState.RUNNING)
        assert place.provider.rent(order) == first
        assert first.machine_token == order.machine_token
        assert [one.machine_token for one in place.provider.list_tagged()] == [order.machine_token]

    def test_describes_what_was_rented(self, place: Place) -> None:
        order = define_order()
        rented = place.provider.rent(order)
        seen = place.wait_for(order.machine_token, MachineState.RUNNING)
        assert (seen.deployment_name, seen.offer_id) == ("chat", "local:x")
        assert (seen.agent_url, seen.provider_ref) == (rented.agent_url, rented.provider_ref)

    def test_takes_an_unknown_token_for_gone(self, place: Place) -> None:
        token = str(uuid4())
        assert place.provider.describe(token) == MachineDescription(machine_token=token, state=MachineState.GONE)
        place.provider.release(token)

    def test_refuses_what_is_no_token(self, place: Place) -> None:
        for call in (place.provider.describe, place.provider.release):
            with pytest.raises(InvalidInputError):
                call("../x")

    def test_starts_a_stopped_machine_again_at_its_address(self, place: Place) -> None:
        order = define_order()
        url = place.provider.rent(order).agent_url
        place.wait_for(order.machine_token, MachineState.RUNNING)
        place.kill_agent(order.machine_token)
        place.wait_for(order.machine_token, MachineState.STOPPED)
        assert place.provider.rent(order).agent_url == url
        place.wait_for(order.machine_token, MachineState.RUNNING)

    def test_forgets_a_released_machine(self, place: Place) -> None:
        order = define_order()
        place.provider.rent(order)
        for _ in range(2):
            place.provider.release(order.machine_token)
        assert place.provider.describe(order.machine_token).state is MachineState.GONE
        assert place.provider.list_tagged() == ()


class TestAgent:
    def test_runs_what_was_declared_last(self, place: Place) -> None:
        order = define_order()
        place.provider.rent(order)
        with place.open_agent(order) as agent:
            for _ in range(2):
                status = agent.put_shards([SPEC])
            assert [(one.shard_id, one.state) for one in status.shards] == [(SPEC.shard_id, ShardState.PENDING)]
            assert status.shards[0].shard_id == agent.get_status().shards[0].shard_id
            assert agent.get_metrics() == []

    def test_says_why_shards_wait(self, place: Place) -> None:
        order = define_order()
        place.provider.rent(order)
        with place.open_agent(order) as agent:
            status = agent.put_shards([SPEC])
        assert not status.vllm.is_available
        assert status.vllm.reason.startswith("vLLM is not installed")

    def test_remembers_across_its_own_end(self, place: Place) -> None:
        order = define_order()
        place.provider.rent(order)
        with place.open_agent(order) as agent:
            agent.put_shards([SPEC])
        place.kill_agent(order.machine_token)
        place.wait_for(order.machine_token, MachineState.STOPPED)
        place.provider.rent(order)
        with place.open_agent(order) as agent:
            assert [one.shard_id for one in agent.get_status().shards] == [SPEC.shard_id]

    def test_refuses_strangers(self, place: Place) -> None:
        order = define_order()
        place.provider.rent(order)
        with place.open_agent(order, token="wrong") as agent, pytest.raises(AgentRefusedError):
            agent.get_status()

    def test_is_not_taken_for_another(self, place: Place) -> None:
        order = define_order()
        place.provider.rent(order)
        other: Any = define_order().agent.cert_pem
        with place.open_agent(order, cert_pem=other) as agent, pytest.raises(AgentUnreachableError):
            agent.get_status()

    def test_does_not_answer_when_it_is_gone(self, place: Place) -> None:
        order = define_order()
        place.provider.rent(order)
        with place.open_agent(order) as agent:
            place.provider.release(order.machine_token)
            with pytest.raises(AgentUnreachableError):
                agent.get_status()
