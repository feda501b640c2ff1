"""Health of shards by their traffic."""

import pytest

from engine.gateway.health import HEALTHY, FailureKind, ShardHealth, after_failure, is_backing_off


def fail(kinds: list[FailureKind], *, at: float = 100.0, apart_s: float = 0.0) -> ShardHealth:
    health = HEALTHY
    for index, kind in enumerate(kinds):
        health = after_failure(health, kind, now=at + index * apart_s)
    return health


class TestAfterFailure:
    def test_backs_off_at_once_from_a_refused_connection(self) -> None:
        health = fail([FailureKind.REFUSED])
        assert is_backing_off(health, now=100.2)
        assert not is_backing_off(health, now=100.25)

    def test_backs_off_longer_each_time_up_to_a_limit(self) -> None:
        ends = [fail([FailureKind.REFUSED] * count, apart_s=10.0) for count in range(1, 7)]
        lengths = [health.backs_off_until - 100.0 - 10.0 * index for index, health in enumerate(ends)]
        assert lengths == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]

    def test_counts_requests_that_were_under_way_once(self) -> None:
        assert fail([FailureKind.REFUSED] * 50) == fail([FailureKind.REFUSED])

    @pytest.mark.parametrize("kind", [FailureKind.BROKEN, FailureKind.ERROR_STATUS, FailureKind.TIMED_OUT])
    def test_tolerates_two_other_failures_in_a_row(self, kind: FailureKind) -> None:
        assert not is_backing_off(fail([kind] * 2), now=100.0)
        assert is_backing_off(fail([kind] * 3), now=100.0)


class TestIsBackingOff:
    def test_is_not_for_a_shard_nobody_complained_about(self) -> None:
        assert not is_backing_off(HEALTHY, now=0.0)
