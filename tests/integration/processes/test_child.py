"""Real programs: their end, their group, and the end of the one that started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.serving import processes
from workers.up.child import GroupChild, Program, start_child

TIMEOUT_S = 20.0
SLEEP = "import time; time.sleep(60)"
# A program that starts a child of its own, tells its number and waits for ever.
NESTED = (
    "import subprocess, sys, time; "
    f"child = subprocess.Popen([sys.executable, '-c', '{SLEEP}']); print(child.pid, flush=True); time.sleep(60)"
)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    return processes.find_process(pid) is None


def make_program(code: str) -> Program:
    return Program(name="test", command=(sys.executable, "-c", code), environment=dict(os.environ))


def read_number(log: Path) -> int:
    wait_for(lambda: log.is_file() and log.read_text().endswith("\n"))
    return int(log.read_text())


def wait_for_end(child: GroupChild) -> int:
    wait_for(lambda: child.poll() is not None)
    code = child.poll()
    assert code is not None
    return code


class TestStartChild:
    def test_keeps_what_a_program_prints(self, tmp_path: Path) -> None:
        log = tmp_path / "test.log"
        child = start_child(
            make_program("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), log=log
        )
        assert wait_for_end(child) == 3
        assert sorted(log.read_text().split()) == ["err", "out"]

    def test_gives_the_program_its_environment_only(self, tmp_path: Path) -> None:
        log = tmp_path / "test.log"
        program = Program(
            name="test",
            command=(sys.executable, "-c", "import os; print(os.environ.get('HOME'), os.environ['WORD'])"),
            environment={"WORD": "hello"},
        )
        assert wait_for_end(start_child(program, log=log)) == 0
        assert log.read_text() == "None hello\n"


class TestGroupChild:
    def test_ends_at_sigterm(self, tmp_path: Path) -> None:
        child = start_child(make_program(SLEEP), log=tmp_path / "log")
        assert child.poll() is None
        child.send(signal.SIGTERM)
        assert wait_for_end(child) == -signal.SIGTERM

    def test_leaves_nothing_of_its_group_when_it_is_killed(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        child = start_child(make_program(NESTED), log=log)
        grandchild = read_number(log)
        os.kill(child.pid, signal.SIGKILL)
        assert wait_for_end(child) == -signal.SIGKILL
        wait_for(lambda: is_gone(grandchild))

    def test_kills_the_group(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        child = start_child(make_program(NESTED), log=log)
        grandchild = read_number(log)
        child.kill()
        assert wait_for_end(child) == -signal.SIGKILL
        wait_for(lambda: is_gone(grandchild))

    def test_does_nothing_to_a_program_that_has_ended(self, tmp_path: Path) -> None:
        child = start_child(make_program("pass"), log=tmp_path / "log")
        assert wait_for_end(child) == 0
        child.send(signal.SIGTERM)
        child.kill()
        assert child.poll() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the parent-death signal")
class TestDeathSignal:
    def test_ends_a_program_with_a_killed_supervisor(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        supervisor = (
            "import os, sys, time; from pathlib import Path; from workers.up.child import Program, start_child\n"
            "command = (sys.executable, '-c', 'import time, os; print(os.getpid(), flush=True); time.sleep(60)')\n"
            "program = Program(name='test', command=command, environment=dict(os.environ))\n"
            "start_child(program, log=Path(sys.argv[1])); time.sleep(60)"
        )
        process = subprocess.Popen([sys.executable, "-c", supervisor, str(log)])
        pid = read_number(log)
        process.kill()
        process.wait()
        wait_for(lambda: is_gone(pid))

    def test_does_not_start_below_another_parent(self) -> None:
        launcher = Path(__file__).parents[3] / "workers" / "up" / "launch.py"
        command = [sys.executable, "-I", "-S", str(launcher), "1", "9", sys.executable, "-c", "print('started')"]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (result.returncode, result.stdout) == (1, "")
