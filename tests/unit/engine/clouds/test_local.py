"""Provider `local` as far as no process is needed; real agents are started in tests/integration."""

import os
import socket
from pathlib import Path

import pytest

from engine.clouds import local_files
from engine.clouds.local import LocalProvider, LocalSettings
from engine.clouds.port import MachineDescription, MachineState
from engine.errors import InvalidInputError

TOKEN = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def provider(tmp_path: Path) -> LocalProvider:
    """A provider with an empty home."""
    return LocalProvider(LocalSettings(home=tmp_path, vllm_python=tmp_path / "python"))


class TestDescribe:
    def test_takes_an_unknown_machine_for_gone(self, provider: LocalProvider) -> None:
        assert provider.describe(TOKEN) == MachineDescription(machine_token=TOKEN, state=MachineState.GONE)

    @pytest.mark.parametrize("token", ["../../etc", "", TOKEN.upper(), "zygote"])
    def test_refuses_what_is_no_token(self, provider: LocalProvider, token: str) -> None:
        with pytest.raises(InvalidInputError):
            provider.describe(token)

    def test_tells_stopped_from_starting_by_the_lock(self, provider: LocalProvider, tmp_path: Path) -> None:
        folder = tmp_path / "agents" / TOKEN
        lock = local_files.try_lock(folder / "agent.lock")
        assert lock is not None
        local_files.write_private(folder / "machine.json", '{"deployment_name": "chat", "offer_id": "o1"}')
        assert provider.describe(TOKEN).state is MachineState.STARTING
        os.close(lock)
        assert provider.describe(TOKEN) == MachineDescription(
            machine_token=TOKEN, state=MachineState.STOPPED, deployment_name="chat", offer_id="o1"
        )


class TestListTagged:
    def test_lists_machines_only(self, provider: LocalProvider, tmp_path: Path) -> None:
        assert provider.list_tagged() == ()
        for name in (TOKEN, "zygote", f".released-{TOKEN}"):
            local_files.try_lock(tmp_path / "agents" / name / "agent.lock")
            local_files.write_private(
                tmp_path / "agents" / name / "machine.json", '{"deployment_name": "d", "offer_id": "o"}'
            )
        assert [machine.machine_token for machine in provider.list_tagged()] == [TOKEN]


class TestRelease:
    def test_is_content_when_the_machine_is_gone(self, provider: LocalProvider) -> None:
        provider.release(TOKEN)
        assert provider.describe(TOKEN).state is MachineState.GONE


class TestPickPort:
    def test_keeps_a_free_port(self) -> None:
        port = local_files.pick_port(preferred=None)
        assert local_files.pick_port(preferred=port) == port

    def test_avoids_a_port_in_use(self) -> None:
        with socket.socket() as other:
            other.bind((local_files.HOST, 0))
            other.listen()
            port = other.getsockname()[1]
            assert local_files.pick_port(preferred=port) not in {port, 0}
