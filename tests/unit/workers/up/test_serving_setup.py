"""The set-up of serving, program by program."""

import json
import stat
from pathlib import Path

import pytest

from tests.support.supervision import FakeHost, make_program
from workers.home import Home
from workers.up.child import Program
from workers.up.serving_setup import InstallStatus, ServingSetup, SetupPrograms, SetupState, read_status


class Bench:
    """A set-up and what it said."""

    def __init__(self, host: FakeHost, home: Home, *, install: Program | None, demo: Program | None) -> None:
        self.host, self.home = host, home
        self.said: list[str] = []
        self.warned: list[str] = []
        self.setup = ServingSetup(
            SetupPrograms(install=install, model=make_program("demo-model"), demo=demo),
            home=home,
            vllm_python=home.folder / "venv" / "bin" / "python",
            start=host.start,
            say=self.said.append,
            warn=self.warned.append,
        )

    def tell(self, state: str, step: str = "", reason: str = "") -> None:
        """Write what the installer says."""
        data = {"state": state, "step": step, "reason": reason}
        self.home.vllm_install.write_text(json.dumps(data))

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.setup.tick()


@pytest.fixture
def bench(host: FakeHost, home: Home) -> Bench:
    return Bench(host, home, install=make_program("install"), demo=make_program("demo"))


def make_model(home: Home) -> None:
    home.demo_model.mkdir(parents=True)
    (home.demo_model / "medley-model.json").write_text(json.dumps({"recipe_version": 1}))


class TestServingSetup:
    def test_installs_then_makes_the_model_then_the_demo(self, bench: Bench) -> None:
        bench.host.codes = {"install": 0, "demo-model": 0, "demo": 0}
        bench.tell("ready")
        (bench.home.logs / "demo.log").write_text("the demo deployment is live\n")
        bench.tick(5)
        assert bench.host.names == ["install", "demo-model", "demo"]
        assert bench.setup.state is SetupState.DONE
        assert bench.said == ["vLLM is ready", "demo model: being made", "the demo deployment is live"]
        assert bench.warned == []

    def test_tells_each_step_of_the_installation_once(self, bench: Bench) -> None:
        bench.tick()
        bench.tell("installing", "install PyTorch for CPUs")
        bench.tick(3)
        bench.tell("installing", "check that vLLM starts")
        bench.tick(2)
        assert bench.said == ["vLLM: install PyTorch for CPUs", "vLLM: check that vLLM starts"]

    def test_says_why_a_host_cannot_serve(self, bench: Bench) -> None:
        bench.host.codes = {"install": 1}
        bench.tell("failed", "stopped", "vLLM needs 4 GB of disk space; 1.0 GB are free")
        bench.tick(2)
        assert bench.setup.state is SetupState.FAILED
        assert bench.host.names == ["install"]
        assert "vLLM needs 4 GB of disk space; 1.0 GB are free" in bench.warned[0]

    def test_says_when_the_model_cannot_be_made(self, bench: Bench) -> None:
        bench.host.codes = {"install": 0, "demo-model": 1}
        bench.tell("ready")
        (bench.home.logs / "demo-model.log").write_text("No space left on device\n")
        bench.tick(3)
        assert bench.setup.state is SetupState.FAILED
        assert bench.warned == ["the demo model could not be made: No space left on device"]

    def test_makes_no_model_twice(self, bench: Bench) -> None:
        make_model(bench.home)
        bench.host.codes = {"install": 0, "demo": 1}
        bench.tell("ready")
        bench.tick(3)
        assert bench.host.names == ["install", "demo"]
        assert bench.warned == ["the demo deployment was not started: exit code 1"]

    def test_leaves_the_demo_out_on_wish(self, host: FakeHost, home: Home) -> None:
        bench = Bench(host, home, install=make_program("install"), demo=None)
        make_model(home)
        host.codes = {"install": 0}
        bench.tell("ready")
        bench.tick(3)
        assert host.names == ["install"]
        assert bench.setup.state is SetupState.DONE

    def test_tells_pages_that_installing_is_switched_off(self, host: FakeHost, home: Home) -> None:
        bench = Bench(host, home, install=None, demo=None)
        bench.tick()
        status = read_status(home.vllm_install)
        assert status.state == "failed"
        assert "switched off by MEDLEY_INSTALL_VLLM" in status.reason
        assert stat.S_IMODE(home.vllm_install.stat().st_mode) == 0o600
        assert host.names == []

    def test_finds_what_somebody_else_installed(self, host: FakeHost, home: Home) -> None:
        bench = Bench(host, home, install=None, demo=None)
        make_model(home)
        venv = home.folder / "venv"
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").touch()
        (venv / "lib" / "python3.11" / "site-packages" / "vllm-0.33.0.dist-info").mkdir(parents=True)
        bench.tick()
        assert read_status(home.vllm_install).state == "ready"
        assert bench.setup.state is SetupState.DONE


class TestReadStatus:
    def test_is_empty_before_the_first_word(self, tmp_path: Path) -> None:
        assert read_status(tmp_path / "none.json") == InstallStatus()
