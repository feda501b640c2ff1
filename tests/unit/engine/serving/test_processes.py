"""Processes as /proc shows them."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.serving import processes
from engine.serving.processes import ProcessRef

SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads its own session."""
    with subprocess.Popen(SLEEPER, start_new_session=True) as process:
        yield process
        process.kill()


class TestFindProcess:
    def test_finds_this_process(self) -> None:
        found = processes.find_process(os.getpid())
        assert found is not None
        assert found.pid == os.getpid()
        assert processes.is_alive(found)

    def test_takes_a_reused_number_for_another_process(self) -> None:
        found = processes.find_process(os.getpid())
        assert found is not None
        assert not processes.is_alive(ProcessRef(pid=found.pid, start_ticks=found.start_ticks - 1))

    def test_counts_a_zombie_as_gone(self, sleeper: subprocess.Popen[bytes]) -> None:
        found = processes.find_process(sleeper.pid)
        assert found is not None
        sleeper.kill()
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.is_alive(found)


class TestKillSession:
    def test_kills_the_leader_of_a_session(self, sleeper: subprocess.Popen[bytes]) -> None:
        leader = processes.find_process(sleeper.pid)
        assert leader is not None
        assert processes.list_session(leader) == (sleeper.pid,)
        assert processes.kill_session(leader) == 1
        assert sleeper.wait() == -9
        assert processes.list_session(leader) == ()

    def test_leaves_a_later_owner_of_the_number_alone(self, sleeper: subprocess.Popen[bytes]) -> None:
        found = processes.find_process(sleeper.pid)
        assert found is not None
        former = ProcessRef(pid=found.pid, start_ticks=found.start_ticks - 1)
        assert processes.kill_session(former) == 0
        assert sleeper.poll() is None
