"""Provider `local` as far as no process is needed; real agents are started in tests/integration."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from engine.clouds import local_files
from engine.clouds.local import LocalProvider, LocalSettings
from engine.clouds.port import MachineDescription, MachineState, RentFailedError
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A machine whose agent has ended."""
    folder = tmp_path / "agents" / TOKEN
    folder.mkdir(parents=True)
    local_files.write_private(folder / "machine.json", '{"deployment_name": "chat", "offer_id": "o1"}')
    local_files.write_private(folder / "config.json", '{"port": 1}')
    return folder


class TestCleanUp:
    """The last run of an agent..."""

    @pytest.mark.parametrize("error", [subprocess.TimeoutExpired("agent", 60), OSError("no memory left")])
    @pytest.mark.parametrize("method", ["stop", "release"])
    def test_that_fails_says_so_and_keeps_the_machine(
        self, provider: LocalProvider, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, method: str
    ) -> None:
        def fail(*_args: object, **_given: object) -> None:
            raise error

        monkeypatch.setattr(subprocess, "run", fail)
        with pytest.raises(RentFailedError, match=f"shards of {TOKEN} could not be stopped"):
            getattr(provider, method)(TOKEN)
        assert folder.is_dir()

    def test_also_follows_an_agent_that_ended_politely(
        self, provider: LocalProvider, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        locks = [local_files.try_lock(folder / "agent.lock")]
        (folder / "agent.lock").write_text("4242\n")
        signals: list[tuple[int, int]] = []

        def end_politely(pid: int, number: int) -> None:
            signals.append((pid, number))
            os.close(locks.pop() or -1)

        monkeypatch.setattr(os, "kill", end_politely)
        monkeypatch.setattr(subprocess, "run", lambda *_args, **_given: subprocess.CompletedProcess((), 1))
        with pytest.raises(RentFailedError, match="could not be stopped"):
            provider.release(TOKEN)
        assert (signals, folder.is_dir()) == ([(4242, signal.SIGTERM)], True)


class TestEnvironment:
    """The environment of agents..."""

    def test_has_what_they_need_and_no_secret(
        self, provider: LocalProvider, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secrets = {"AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MEDLEY_SECRET_KEY", "DATABASE_URL", "GITHUB_TOKEN"}
        secrets |= {"VLLM_API_KEY"}
        kept = {"HOME", "PATH", "LC_ALL", "OMP_NUM_THREADS", "VLLM_CPU_KVCACHE_SPACE"}
        for name in secrets | kept:
            monkeypatch.setenv(name, f"value of {name}")
        given: dict[str, str] = {}

        def run(*_args: object, env: dict[str, str], **_given: object) -> subprocess.CompletedProcess[bytes]:
            given.update(env)
            return subprocess.CompletedProcess((), 0)

        monkeypatch.setattr(subprocess, "run", run)
        provider.release(TOKEN)
        assert {name: given.get(name) for name in kept} == {name: f"value of {name}" for name in kept}
        assert secrets & given.keys() == set()
        assert given["PYTHONPATH"] == str(Path(local_files.__file__).resolve().parents[2])
