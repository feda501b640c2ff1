"""After the console is up: install vLLM, make the demo model, start the demo deployment; one after the other."""

import json
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path

from engine.serving import demo_model, files
from engine.serving.install import InstallState
from engine.serving.vllm_finder import find_vllm
from workers.home import Home
from workers.up.child import Child, Program
from workers.up.keeper import StartChild, describe_exit


class SetupState(Enum):
    """How far the set-up is."""

    RUNNING = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPrograms:
    """The programs of the set-up; None for what a person switched off."""

    install: Program | None
    model: Program
    demo: Program | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallStatus:
    """What `engine.serving.install` says."""

    state: str = ""
    step: str = ""
    reason: str = ""


def read_status(path: Path) -> InstallStatus:
    """Return the state of the installation of vLLM; empty before its first word."""
    try:
        data = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return InstallStatus()
    return InstallStatus(state=str(data["state"]), step=str(data["step"]), reason=str(data["reason"]))


def write_status(path: Path, status: InstallStatus) -> None:
    """Keep the state of an installation that is not ours to change."""
    files.write_private(path, json.dumps({**asdict(status), "updated_at": datetime.now(UTC).isoformat()}))


class ServingSetup:
    """Runs the programs in turn and tells what a person should know.

    Args:
        programs: what to run.
        home: folder of the installation.
        vllm_python: interpreter of the serving environment.
        start: starts a program.
        say: takes news.
        warn: takes reasons why local serving will not work.
    """

    def __init__(
        self,
        programs: SetupPrograms,
        *,
        home: Home,
        vllm_python: Path,
        start: StartChild,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.state = SetupState.RUNNING
        self._programs = programs
        self._home = home
        self._vllm_python = vllm_python
        self._start = start
        self._say = say
        self._warn = warn
        self._child: Child | None = None
        self._shown = InstallStatus()
        self._course = self._run()

    def tick(self) -> None:
        """Go on as far as possible without waiting."""
        if self.state is SetupState.RUNNING:
            next(self._course, None)

    def stop(self) -> None:
        """End the program that runs now."""
        self.state = SetupState.FAILED
        if self._child is not None and self._child.poll() is None:
            self._child.send(signal.SIGTERM)

    def has_ended(self) -> bool:
        """Return whether no program runs."""
        return self._child is None or self._child.poll() is not None

    def kill(self) -> None:
        """End the program that runs now, without asking."""
        if self._child is not None:
            self._child.kill()

    def _run(self) -> Iterator[None]:
        is_done = (yield from self._install()) and (yield from self._make_model()) and (yield from self._start_demo())
        self.state = SetupState.DONE if is_done else SetupState.FAILED

    def _install(self) -> Generator[None, None, bool]:
        if self._programs.install is None:
            return self._find_installed()
        self._child = self._start(self._programs.install)
        while (code := self._child.poll()) is None:
            self._show_progress()
            yield
        status = read_status(self._home.vllm_install)
        if code == 0 and status.state == InstallState.READY:
            self._say("vLLM is ready")
            return True
        self._warn(f"no local serving: vLLM cannot be installed: {status.reason or describe_exit(code)}")
        self._warn("everything else works; the same reason stands on the page of deployments")
        return False

    def _find_installed(self) -> bool:
        """Say in the status file, which pages show, what stands in the environment that nobody may change."""
        found = find_vllm(self._vllm_python)
        reason = "" if found.is_available else f"{found.reason}; installing is switched off by MEDLEY_INSTALL_VLLM"
        state = InstallState.READY if found.is_available else InstallState.FAILED
        write_status(self._home.vllm_install, InstallStatus(state=state, step="found", reason=reason))
        if reason:
            self._warn(f"no local serving: {reason}")
        return found.is_available

    def _show_progress(self) -> None:
        status = read_status(self._home.vllm_install)
        if status != self._shown and status.state == InstallState.INSTALLING:
            self._say(f"vLLM: {status.step}")
        self._shown = status

    def _make_model(self) -> Generator[None, None, bool]:
        if demo_model.is_complete(self._home.demo_model):
            return True
        self._say("demo model: being made")
        code = yield from self._run_program(self._programs.model)
        if code != 0:
            self._warn(f"the demo model could not be made: {self._find_reason(self._programs.model, code)}")
        return code == 0

    def _start_demo(self) -> Generator[None, None, bool]:
        if self._programs.demo is None:
            return True
        code = yield from self._run_program(self._programs.demo)
        reason = self._find_reason(self._programs.demo, code)
        if code == 0:
            self._say(reason)
        else:
            self._warn(f"the demo deployment was not started: {reason}")
        return code == 0

    def _run_program(self, program: Program) -> Generator[None, None, int]:
        self._child = self._start(program)
        while (code := self._child.poll()) is None:
            yield
        return code

    def _find_reason(self, program: Program, code: int) -> str:
        lines = files.read_tail(self._home.logs / f"{program.name}.log", lines=1)
        return lines[0] if lines else describe_exit(code)
