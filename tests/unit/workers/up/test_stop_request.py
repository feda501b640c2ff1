"""Wishes to stop."""

from tests.support.supervision import FakeClock
from workers.up.stop_request import StopRequest


class TestStopRequest:
    def test_is_not_asked_at_first(self, clock: FakeClock) -> None:
        stop = StopRequest(clock=clock)
        assert (stop.is_asked, stop.is_forced) == (False, False)

    def test_stops_in_order_when_asked_once(self, clock: FakeClock) -> None:
        stop = StopRequest(clock=clock)
        stop.ask()
        assert (stop.is_asked, stop.is_forced) == (True, False)

    def test_is_forced_when_asked_twice(self, clock: FakeClock) -> None:
        stop = StopRequest(clock=clock)
        stop.ask()
        clock.sleep(1.0)
        stop.ask()
        assert stop.is_forced

    def test_takes_an_echo_for_the_same_wish(self, clock: FakeClock) -> None:
        stop = StopRequest(clock=clock)
        stop.ask()
        clock.sleep(0.2)
        stop.ask()
        assert (stop.num_asked, stop.is_forced) == (1, False)
