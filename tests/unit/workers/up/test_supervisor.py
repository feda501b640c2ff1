"""The supervisor's loop, without processes and time."""

import io
import signal
from collections.abc import Callable

import pytest

from tests.support.supervision import FakeClock, FakeHost, make_program
from workers.home import Home
from workers.up.logs import MAX_BYTES
from workers.up.serving_setup import ServingSetup, SetupPrograms
from workers.up.stop_request import StopRequest
from workers.up.supervisor import Supervisor, Tools
from workers.up.terminal import Terminal

RELEASE = make_program("release")


class Bench:
    """A supervisor of two programs, and everything around it."""

    def __init__(self, *, host: FakeHost, clock: FakeClock, home: Home, terminal: Terminal) -> None:
        self.host, self.clock, self.home = host, clock, home
        self.stop = StopRequest(clock=clock)
        self.plans: list[tuple[float, Callable[[], None]]] = []
        self.supervisor = Supervisor(
            [make_program("web"), make_program("worker")],
            home=home,
            terminal=terminal,
            stop=self.stop,
            tools=Tools(start=host.start, clock=clock, sleep=self.sleep),
        )
        self.setup = ServingSetup(
            SetupPrograms(install=make_program("install"), model=make_program("demo-model"), demo=None),
            home=home,
            vllm_python=home.folder / "python",
            start=host.start,
            say=terminal.report,
            warn=terminal.warn,
        )

    def plan(self, at_s: float, action: Callable[[], None]) -> None:
        """Have something happen at an instant."""
        self.plans.append((at_s, action))

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        due = [action for at_s, action in self.plans if at_s <= self.clock.now_s]
        self.plans = [plan for plan in self.plans if plan[0] > self.clock.now_s]
        for action in due:
            action()


@pytest.fixture
def bench(host: FakeHost, clock: FakeClock, home: Home, terminal: Terminal) -> Bench:
    return Bench(host=host, clock=clock, home=home, terminal=terminal)


class TestSupervisor:
    def test_starts_programs_in_order(self, bench: Bench) -> None:
        bench.supervisor.start()
        assert bench.host.names == ["web", "worker"]

    def test_starts_a_killed_program_again_and_says_so(self, bench: Bench, out: io.StringIO) -> None:
        bench.supervisor.start()
        bench.plan(1.0, lambda: setattr(bench.host.get("worker"), "code", -signal.SIGKILL))
        bench.plan(5.0, bench.stop.ask)
        bench.supervisor.run(bench.setup)
        assert bench.host.names.count("worker") == 2
        assert bench.host.names.count("web") == 1
        assert "worker ended (SIGKILL); it is started again now" in out.getvalue()

    def test_stops_all_and_then_releases(self, bench: Bench, out: io.StringIO) -> None:
        bench.host.codes["release"] = 0
        bench.supervisor.start()
        assert bench.supervisor.shut_down(bench.setup, release=RELEASE)
        assert [child.signals for child in bench.host.started] == [[signal.SIGTERM], [signal.SIGTERM], []]
        assert bench.host.names == ["web", "worker", "release"]
        assert "Machines of this host are released" in out.getvalue()

    def test_kills_what_does_not_end_in_time(self, bench: Bench) -> None:
        bench.host.codes["release"] = 0
        bench.host.deaf.add("worker")
        bench.supervisor.start()
        bench.supervisor.shut_down(bench.setup, release=RELEASE)
        assert bench.host.get("worker").is_killed
        assert 4.0 < bench.clock.now_s < 5.0

    def test_does_not_wait_after_a_second_wish(self, bench: Bench, out: io.StringIO) -> None:
        bench.host.deaf.add("worker")
        bench.supervisor.start()
        bench.stop.ask()
        bench.plan(2.0, bench.stop.ask)
        assert not bench.supervisor.shut_down(bench.setup, release=RELEASE)
        assert bench.host.get("worker").is_killed
        assert bench.clock.now_s < 2.5
        assert "release" not in bench.host.names
        assert "machines of this host are released in the background" in out.getvalue()

    def test_says_when_releasing_failed(self, bench: Bench, out: io.StringIO) -> None:
        bench.host.codes["release"] = 1
        assert not bench.supervisor.shut_down(bench.setup, release=RELEASE)
        assert "releasing machines failed (exit code 1)" in out.getvalue()
        assert "Machines of this host are released" not in out.getvalue()

    def test_ends_the_installer_with_everything_else(self, bench: Bench) -> None:
        bench.host.codes["release"] = 0
        bench.supervisor.start()
        bench.plan(1.0, bench.stop.ask)
        bench.supervisor.run(bench.setup)
        bench.supervisor.shut_down(bench.setup, release=RELEASE)
        assert bench.host.get("install").signals == [signal.SIGTERM]

    def test_moves_a_long_log_aside(self, bench: Bench) -> None:
        log = bench.home.logs / "web.log"
        log.write_bytes(b"x" * (MAX_BYTES + 1))
        bench.plan(61.0, bench.stop.ask)
        bench.supervisor.run(bench.setup)
        assert log.stat().st_size == 0
        assert (bench.home.logs / "web.log.1").stat().st_size == MAX_BYTES + 1


class TestRunOnce:
    def test_returns_the_exit_code(self, bench: Bench) -> None:
        bench.host.codes["prepare"] = 3
        assert bench.supervisor.run_once(make_program("prepare")) == 3

    def test_ends_the_program_at_a_wish_to_stop(self, bench: Bench) -> None:
        bench.plan(1.0, bench.stop.ask)
        assert bench.supervisor.run_once(make_program("prepare")) is None
        assert bench.host.get("prepare").is_killed

    def test_ends_the_program_after_its_time(self, bench: Bench) -> None:
        assert bench.supervisor.run_once(RELEASE, timeout_s=3.0) is None
        assert bench.host.get("release").is_killed


class TestWaitUntil:
    def test_goes_on_when_the_condition_holds(self, bench: Bench) -> None:
        assert bench.supervisor.wait_until(lambda: bench.clock.now_s >= 2.0)

    def test_gives_up_after_its_time(self, bench: Bench) -> None:
        assert not bench.supervisor.wait_until(lambda: False, timeout_s=5.0)
        assert 5.0 < bench.clock.now_s < 6.0

    def test_gives_up_at_a_wish_to_stop(self, bench: Bench) -> None:
        bench.stop.ask()
        assert not bench.supervisor.wait_until(lambda: True)
