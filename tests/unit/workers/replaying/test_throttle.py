"""Background traffic yields."""

import pytest

from workers.replaying.throttle import Throttle


class TestThrottle:
    """The bound..."""

    def test_begins_low(self) -> None:
        assert Throttle(requests_per_s=100.0).limit == 4

    def test_grows_by_one_per_round_of_good_requests(self) -> None:
        throttle = Throttle(requests_per_s=100.0)
        for _ in range(5):
            throttle.note(is_good=True, now_s=0.0)
        assert throttle.limit == 5

    @pytest.mark.parametrize(("requests_per_s", "expected"), [(0.1, 4), (2.0, 10), (1000.0, 256)])
    def test_ends_at_some_seconds_of_arrivals(self, requests_per_s: float, expected: int) -> None:
        throttle = Throttle(requests_per_s=requests_per_s)
        for _ in range(100_000):
            throttle.note(is_good=True, now_s=0.0)
        assert throttle.limit == expected

    def test_falls_once_for_requests_that_were_on_their_way_together(self) -> None:
        throttle = Throttle(requests_per_s=100.0)
        for now_s in (10.0, 10.1, 10.9):
            throttle.note(is_good=False, now_s=now_s)
        assert throttle.limit == 2
        throttle.note(is_good=False, now_s=11.0)
        assert throttle.limit == 1

    def test_never_falls_silent(self) -> None:
        throttle = Throttle(requests_per_s=100.0)
        for second in range(100):
            throttle.note(is_good=False, now_s=float(second))
        assert throttle.limit == 1

    def test_recovers(self) -> None:
        throttle = Throttle(requests_per_s=100.0)
        for second in range(100):
            throttle.note(is_good=False, now_s=float(second))
        for _ in range(10):
            throttle.note(is_good=True, now_s=100.0)
        assert throttle.limit == 4
