"""Stopping a running console."""

import os
import signal

import pytest

from tests.support.supervision import FakeClock
from workers.cli import stop as stop_command
from workers.cli.stop import StillRunningError, list_left_machines, stop_supervisor
from workers.home import Home
from workers.up import presence
from workers.up.presence import Presence

_PID = 2**22 + 1  # above what Linux gives: nobody's


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the signals that were sent."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    return sent


class TestStopSupervisor:
    def test_waits_until_it_has_ended(
        self, home: Home, signals: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = FakeClock()
        monkeypatch.setattr(presence, "find_running", lambda _home: Presence(pid=_PID) if clock.now_s < 4.0 else None)
        stop_supervisor(home, _PID, timeout_s=60.0, clock=clock, sleep=clock.sleep)
        assert signals == [(_PID, signal.SIGTERM)]
        assert 4.0 <= clock.now_s < 4.2

    def test_says_when_it_does_not_end(
        self, home: Home, signals: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = FakeClock()
        monkeypatch.setattr(presence, "find_running", lambda _home: Presence(pid=_PID))
        with pytest.raises(StillRunningError, match=f"process {_PID} still runs after 5 s"):
            stop_supervisor(home, _PID, timeout_s=5.0, clock=clock, sleep=clock.sleep)

    def test_waits_for_the_process_behind_the_lock(
        self, home: Home, signals: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = FakeClock()
        monkeypatch.setattr(presence, "find_running", lambda _home: None)
        with pytest.raises(StillRunningError, match="still runs after 2 s"):
            stop_supervisor(home, os.getpid(), timeout_s=2.0, clock=clock, sleep=clock.sleep)


class TestListLeftMachines:
    def test_finds_what_a_killed_console_left(self, home: Home) -> None:
        assert list_left_machines(home) == []
        machine = home.agents / "0f8fad5b-d9cb-469f-a165-70867728950e"
        machine.mkdir(parents=True)
        (machine / "machine.json").write_text("{}")
        assert list_left_machines(home) == [machine.name]


class TestStop:
    def test_releases_what_a_killed_console_left(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine = home.agents / "0f8fad5b-d9cb-469f-a165-70867728950e"
        machine.mkdir(parents=True)
        (machine / "machine.json").write_text("{}")
        loaded: list[str] = []

        class Release:
            @staticmethod
            def main() -> int:
                loaded.append("released")
                return 0

        monkeypatch.setattr(stop_command.with_django, "load", lambda name: loaded.append(name) or Release)
        stop_command.stop()
        assert loaded == ["workers.up.release", "released"]
        assert "Machines of this host are released" in capsys.readouterr().out
