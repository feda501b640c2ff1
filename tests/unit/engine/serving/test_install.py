"""The installer's decisions; the install itself is run for real elsewhere."""

import json
import os
import sys
from datetime import datetime
from pathlib import Path

import pytest

from engine.serving import install as program
from engine.serving.install import Host, Installation, InstallStepError, UnsupportedHostError, check_host, install
from engine.serving.vllm_finder import INSTALLING_MARK

FINE = Host(system="Linux", machine="x86_64", free_bytes=10 * 10**9)


@pytest.fixture
def installation(tmp_path: Path, now: datetime) -> Installation:
    """An environment that holds the one pinned package; its Python is this one."""
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    (site / "torch-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "venv" / "bin").mkdir()
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "lock.txt").write_text("torch==1.0\n")
    return Installation(
        venv=tmp_path / "venv", lock=tmp_path / "lock.txt", status=tmp_path / "run" / "vllm.json", now=lambda: now
    )


def read_status(installation: Installation) -> dict[str, str]:
    status: dict[str, str] = json.loads(installation.status.read_text())
    return status


class TestCheckHost:
    def test_accepts_linux_with_room(self) -> None:
        check_host(FINE)

    @pytest.mark.parametrize(
        ("host", "words"),
        [
            (Host(system="Darwin", machine="arm64", free_bytes=10**11), "for Linux on aarch64 or x86_64"),
            (Host(system="Linux", machine="riscv64", free_bytes=10**11), "riscv64"),
            (Host(system="Linux", machine="x86_64", free_bytes=10**9), "needs 4 GB of disk space; 1.0 GB are free"),
        ],
    )
    def test_says_why_not(self, host: Host, words: str) -> None:
        with pytest.raises(UnsupportedHostError, match=words):
            check_host(host)


class TestInstall:
    def test_checks_what_is_there_and_is_instant_afterwards(
        self, installation: Installation, monkeypatch: pytest.MonkeyPatch, now: datetime
    ) -> None:
        monkeypatch.setattr(program, "_CHECK_CODE", "print('imported')")
        install(installation)
        ready = {"state": "ready", "step": "done", "reason": "", "updated_at": now.isoformat()}
        assert read_status(installation) == ready
        assert "imported" in installation.log.read_text()
        monkeypatch.setattr(program, "_CHECK_CODE", "raise SystemExit('asked again')")
        install(installation)
        assert read_status(installation) == ready

    def test_is_not_complete_for_another_lock(
        self, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(program, "_CHECK_CODE", "pass")
        install(installation)
        installation.lock.write_text("torch==1.0  # moved\n")
        monkeypatch.setattr(program, "_CHECK_CODE", "raise ImportError('no such operator')")
        with pytest.raises(InstallStepError, match="ImportError: no such operator"):
            install(installation)

    def test_marks_the_environment_until_it_is_whole(
        self, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installation.lock.write_text("torch==1.0\nvllm-cpu==0.32.0\n")
        monkeypatch.setattr(program, "read_host", lambda _: FINE)
        monkeypatch.setattr(program, "_pip", _fail)
        with pytest.raises(InstallStepError, match="no route to the index"):
            install(installation)
        assert (installation.venv / INSTALLING_MARK).exists()
        monkeypatch.setattr(program, "_pip", lambda *_: None)
        monkeypatch.setattr(program, "_CHECK_CODE", "pass")
        install(installation)
        assert not (installation.venv / INSTALLING_MARK).exists()

    def test_asks_pytorch_s_own_index_only_when_pip_finds_nothing(
        self, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[tuple[str, ...]] = []

        def pip(_: Installation, *arguments: str) -> None:
            calls.append(arguments)
            if arguments == ("torch==2.0+cpu",):
                raise InstallStepError("no matching distribution")

        installation.lock.write_text("torch==2.0+cpu\n")
        monkeypatch.setattr(program, "read_host", lambda _: FINE)
        monkeypatch.setattr(program, "_pip", pip)
        monkeypatch.setattr(program, "_CHECK_CODE", "pass")
        install(installation)
        assert calls == [
            ("torch==2.0+cpu",),
            ("torch==2.0+cpu", "--extra-index-url", "https://download.pytorch.org/whl/cpu"),
            ("-r", str(installation.lock)),
        ]


class TestMain:
    def test_writes_the_failure_for_the_page(self, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
        installation.lock.write_text("torch==3.0\n")
        monkeypatch.setattr(program, "read_host", lambda _: Host(system="Linux", machine="x86_64", free_bytes=0))
        arguments = ["--venv", installation.venv, "--lock", installation.lock, "--status", installation.status]
        monkeypatch.setattr(sys, "argv", ["install", *map(os.fspath, arguments)])
        assert program.main() == 1
        status = read_status(installation)
        assert (status["state"], status["step"]) == ("failed", "stopped")
        assert status["reason"] == "vLLM needs 4 GB of disk space; 0.0 GB are free"


def _fail(_: Installation, *arguments: str) -> None:
    raise InstallStepError("no route to the index")
