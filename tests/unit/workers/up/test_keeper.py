"""Keeping one program running."""

import signal

import pytest

from tests.support.supervision import FakeClock, FakeHost, make_program
from workers.up.keeper import Keeper, describe_exit


@pytest.fixture
def keeper(host: FakeHost, clock: FakeClock) -> Keeper:
    keeper = Keeper(make_program("web"), start=host.start, clock=clock)
    keeper.start()
    return keeper


def end(host: FakeHost, code: int = -signal.SIGKILL) -> None:
    host.started[-1].code = code


class TestKeeper:
    def test_leaves_a_running_program_alone(self, keeper: Keeper, host: FakeHost) -> None:
        assert keeper.tick() is None
        assert host.names == ["web"]

    def test_starts_again_at_once_after_the_first_end(self, keeper: Keeper, host: FakeHost) -> None:
        end(host)
        assert keeper.tick() == "web ended (SIGKILL); it is started again now"
        keeper.tick()
        assert host.names == ["web", "web"]
        assert keeper.is_running

    def test_waits_longer_after_each_end_in_a_row(self, keeper: Keeper, host: FakeHost, clock: FakeClock) -> None:
        waits = []
        for _ in range(4):
            end(host, code=1)
            keeper.tick()
            before_s = clock.now_s
            while not keeper.is_running:
                clock.sleep(0.5)
                keeper.tick()
            waits.append(clock.now_s - before_s)
        assert waits == [0.5, 1.0, 2.0, 4.0]

    def test_counts_anew_after_a_stable_minute(self, keeper: Keeper, host: FakeHost, clock: FakeClock) -> None:
        for _ in range(3):
            end(host)
            keeper.tick()
            clock.sleep(30.0)
            keeper.tick()
        clock.sleep(60.0)
        end(host, code=2)
        assert keeper.tick() == "web ended (exit code 2); it is started again now"

    def test_stops_politely(self, keeper: Keeper, host: FakeHost) -> None:
        keeper.stop()
        assert host.started[-1].signals == [signal.SIGTERM]
        assert keeper.has_ended()

    def test_kills_what_does_not_listen(self, host: FakeHost, clock: FakeClock) -> None:
        host.deaf.add("web")
        keeper = Keeper(make_program("web"), start=host.start, clock=clock)
        keeper.start()
        keeper.stop()
        assert not keeper.has_ended()
        keeper.kill()
        assert keeper.has_ended()

    def test_has_nothing_to_stop_before_the_start(self, host: FakeHost, clock: FakeClock) -> None:
        keeper = Keeper(make_program("web"), start=host.start, clock=clock)
        keeper.stop()
        keeper.kill()
        assert keeper.has_ended()
        assert host.names == []


class TestDescribeExit:
    @pytest.mark.parametrize(
        ("code", "text"), [(0, "exit code 0"), (-9, "SIGKILL"), (-15, "SIGTERM"), (-99, "signal 99")]
    )
    def test_names_the_signal(self, code: int, text: str) -> None:
        assert describe_exit(code) == text
