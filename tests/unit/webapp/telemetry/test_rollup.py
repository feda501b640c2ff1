"""Longer intervals from shorter ones."""

from datetime import timedelta

import pytest

from tests.support.telemetry import START, at, define_point, define_shard_point
from webapp.telemetry import rollup
from webapp.telemetry.points import Rates


class TestFindIntervalEnd:
    """The end of an interval..."""

    @pytest.mark.parametrize(
        ("seconds", "interval_s", "end_s"),
        [(0.0, 2.0, 0.0), (0.001, 2.0, 2.0), (1.999, 2.0, 2.0), (2.0, 2.0, 2.0), (0.5, 60.0, 60.0), (60.0, 60.0, 60.0)],
    )
    def test_lies_on_the_grid(self, seconds: float, interval_s: float, end_s: float) -> None:
        assert rollup.find_interval_end(at(seconds), interval_s) == at(end_s)

    def test_of_every_tick_of_a_day_is_the_tick(self) -> None:
        ticks = [START + timedelta(seconds=2 * number) for number in range(0, 43_200, 7)]
        assert all(rollup.find_interval_end(tick, 2.0) == tick for tick in ticks)


class TestCombine:
    """A longer interval..."""

    def test_adds_counts_and_keeps_the_largest_in_flight(self) -> None:
        first = define_point(
            2, num_requests=3, num_failed=1, num_within_slo=2, prompt_tokens=30, output_tokens=12, in_flight=4
        )
        second = define_point(4, num_requests=2, num_cancelled=1, prompt_tokens=10, output_tokens=8, in_flight=1)
        combined = rollup.combine([first, second], sampled_at=at(60), interval_s=60.0)
        assert combined == define_point(
            60,
            interval_s=60.0,
            num_requests=5,
            num_failed=1,
            num_cancelled=1,
            num_within_slo=2,
            prompt_tokens=40,
            output_tokens=20,
            in_flight=4,
        )

    def test_weighs_each_window_of_30_s_once_by_its_requests(self) -> None:
        points = [
            define_point(28, num_requests=2, ttft_p50_s=9.0),
            define_point(30, num_requests=1, ttft_p50_s=1.0),
            define_point(58, num_requests=1, ttft_p50_s=9.0),
            define_point(60, num_requests=0, ttft_p50_s=2.0),
        ]
        combined = rollup.combine(points, sampled_at=at(60), interval_s=60.0)
        assert combined.latencies.ttft_p50_s == pytest.approx((3 * 1.0 + 1 * 2.0) / 4)

    def test_leaves_a_latency_open_that_no_window_knows(self) -> None:
        points = [define_point(30, num_requests=1, ttft_p50_s=1.0), define_point(60)]
        combined = rollup.combine(points, sampled_at=at(60), interval_s=60.0)
        assert combined.latencies.ttft_p50_s == 1.0
        assert combined.latencies.e2e_p90_s is None

    def test_of_minutes_weighs_every_minute(self) -> None:
        minutes = [
            define_point(60 * number, interval_s=60.0, num_requests=number, ttft_p50_s=float(number))
            for number in (1, 3)
        ]
        combined = rollup.combine(minutes, sampled_at=at(180), interval_s=180.0)
        assert combined.latencies.ttft_p50_s == pytest.approx((1 * 1.0 + 3 * 3.0) / 4)


class TestCombineShard:
    """A shard's longer interval..."""

    def test_holds_means(self) -> None:
        points = [
            define_shard_point(2, num_running=1.0, num_waiting=0.0, kv_cache_usage_ratio=0.2, output_tokens_per_s=10.0),
            define_shard_point(4, num_running=3.0, num_waiting=1.0, kv_cache_usage_ratio=0.4, output_tokens_per_s=30.0),
        ]
        combined = rollup.combine_shard(points, sampled_at=at(60), interval_s=60.0)
        assert (combined.num_running, combined.num_waiting, combined.output_tokens_per_s) == (2.0, 0.5, 20.0)
        assert combined.kv_cache_usage_ratio == pytest.approx(0.3)
        assert (combined.shard_id, combined.sampled_at, combined.interval_s) == ("s1", at(60), 60.0)


class TestComputeRates:
    """Rates..."""

    def test_of_raw_points_are_over_the_last_ten_seconds(self) -> None:
        points = [
            define_point(seconds, num_requests=2, output_tokens=40, prompt_tokens=100) for seconds in range(2, 22, 2)
        ]
        assert rollup.compute_rates(points, at=at(20)) == Rates(
            requests_per_s=1.0, output_tokens_per_s=20.0, prompt_tokens_per_s=50.0
        )

    def test_count_what_a_gap_left_out_as_nothing(self) -> None:
        points = [define_point(2, num_requests=5), define_point(20, num_requests=5)]
        assert rollup.compute_rates(points, at=at(20)).requests_per_s == 0.5

    def test_of_a_minute_are_over_the_minute(self) -> None:
        minute = define_point(60, interval_s=60.0, num_requests=30)
        assert rollup.compute_rates([minute], at=at(60)).requests_per_s == 0.5
