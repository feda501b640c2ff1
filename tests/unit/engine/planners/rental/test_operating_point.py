"""Operating points under an SLO."""

import math
from dataclasses import dataclass

import pytest

from engine.domain.slo import Slo
from engine.domain.workload import RequestClass
from engine.planners.rental.operating_point import (
    LatencyLimits,
    PercentileRatios,
    define_ratios,
    estimate_point,
    find_operating_point,
    find_point_at_load,
    slo_to_limits,
)

OPEN = LatencyLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearTimes:
    """The specification's check: t(b) = 6 + 0.06 b ms, p = 25 ms."""

    kv_tokens: int = 256 * 353
    prefill_s: float = 0.025

    def estimate_prefill_s(self, prompt_tokens: int, num_prompts: int = 1) -> float:
        return self.prefill_s * num_prompts

    def estimate_decode_step_s(self, batch: int, context_tokens: float) -> float:
        return 0.006 + 0.00006 * batch


def define_class(prompt_tokens: int = 100, output_tokens: int = 253) -> RequestClass:
    return RequestClass(id="w", prompt_tokens=prompt_tokens, output_tokens=output_tokens, share=1.0)


class TestEstimatePoint:
    def test_computes_the_four_figures(self) -> None:
        point = estimate_point(LinearTimes(), define_class(), 87)
        assert point.requests_per_s == pytest.approx(17.3915, abs=5e-5)
        assert point.tpot_s == pytest.approx(0.019851, abs=5e-7)
        load = 17.3915 * 0.025
        assert point.ttft_s == pytest.approx(0.025 + 0.01122 / 2 + load * 0.025 / (2 * (1 - load)), abs=1e-6)
        assert point.e2e_s == pytest.approx(point.ttft_s + 252 * point.tpot_s)

    def test_rises_in_every_latency_with_the_batch(self) -> None:
        points = [estimate_point(LinearTimes(), define_class(), batch) for batch in (1, 2, 10, 87, 256)]
        for name in ("ttft_s", "tpot_s", "e2e_s", "requests_per_s"):
            values = [getattr(point, name) for point in points]
            assert values == sorted(values)

    def test_takes_the_context_in_the_middle_of_the_output(self) -> None:
        seen: list[float] = []

        class Recorder(LinearTimes):
            def estimate_decode_step_s(self, batch: int, context_tokens: float) -> float:
                seen.append(context_tokens)
                return 0.01

        estimate_point(Recorder(), define_class(100, 50), 4)
        assert seen == [125.0]


class TestFindOperatingPoint:
    def test_finds_the_largest_batch_within_the_bound(self) -> None:
        point = find_operating_point(LinearTimes(), define_class(), LatencyLimits(tpot_s=0.020), max_num_seqs=256)
        assert point is not None
        assert point.batch == 87
        assert point.requests_per_s == pytest.approx(17.3915, abs=5e-5)
        assert estimate_point(LinearTimes(), define_class(), 88).tpot_s == pytest.approx(0.020010, abs=5e-7)

    def test_is_bounded_by_the_cache_without_an_slo(self) -> None:
        point = find_operating_point(LinearTimes(), define_class(), OPEN, max_num_seqs=1000)
        assert point is not None
        assert (point.batch, point.requests_per_s) == (256, pytest.approx(21.7267, abs=5e-5))

    def test_is_bounded_by_the_engine_without_an_slo(self) -> None:
        point = find_operating_point(LinearTimes(), define_class(), OPEN, max_num_seqs=64)
        assert point is not None
        assert point.batch == 64

    def test_is_the_largest_for_every_kind_of_bound(self) -> None:
        for limits in (LatencyLimits(ttft_s=0.035), LatencyLimits(e2e_s=3.0), LatencyLimits(ttft_s=0.05, tpot_s=0.01)):
            point = find_operating_point(LinearTimes(), define_class(), limits, max_num_seqs=256)
            assert point is not None
            following = estimate_point(LinearTimes(), define_class(), point.batch + 1)
            assert (point.ttft_s, point.tpot_s, point.e2e_s) <= (limits.ttft_s, limits.tpot_s, limits.e2e_s)
            assert (
                following.ttft_s > limits.ttft_s or following.tpot_s > limits.tpot_s or following.e2e_s > limits.e2e_s
            )

    def test_is_none_when_one_request_is_too_slow(self) -> None:
        limits = LatencyLimits(ttft_s=0.025)
        assert find_operating_point(LinearTimes(), define_class(), limits, max_num_seqs=256) is None

    def test_is_none_when_one_request_does_not_fit(self) -> None:
        assert find_operating_point(LinearTimes(kv_tokens=352), define_class(), OPEN, max_num_seqs=256) is None
        assert find_operating_point(LinearTimes(kv_tokens=353), define_class(), OPEN, max_num_seqs=256) is not None

    def test_queues_requests_of_one_output_token_up_to_the_bound(self) -> None:
        # Waiting p q / (2 (1 - q)) = p at q = 2/3: twice the prefill in all.
        limits = LatencyLimits(ttft_s=0.050)
        point = find_operating_point(LinearTimes(), define_class(100, 1), limits, max_num_seqs=256)
        assert point is not None
        assert point.ttft_s == pytest.approx(0.050)
        assert point.requests_per_s == pytest.approx((2 / 3) / 0.025)
        assert point.tpot_s == 0.0

    def test_bounds_the_load_of_requests_of_one_output_token_without_an_slo(self) -> None:
        point = find_operating_point(LinearTimes(), define_class(100, 1), OPEN, max_num_seqs=256)
        assert point is not None
        assert point.requests_per_s == pytest.approx(0.95 / 0.025)
        assert math.isfinite(point.ttft_s)

    def test_refuses_requests_of_one_output_token_slower_than_the_bound(self) -> None:
        limits = LatencyLimits(ttft_s=0.025)
        assert find_operating_point(LinearTimes(), define_class(100, 1), limits, max_num_seqs=256) is None


class TestFindPointAtLoad:
    def test_is_the_full_point_at_full_load(self) -> None:
        assert find_point_at_load(LinearTimes(), define_class(), max_batch=87, load=1.0).batch == 87

    def test_is_the_smallest_that_carries_the_load(self) -> None:
        full = estimate_point(LinearTimes(), define_class(), 87).requests_per_s
        point = find_point_at_load(LinearTimes(), define_class(), max_batch=87, load=0.5)
        assert point.requests_per_s >= 0.5 * full
        assert estimate_point(LinearTimes(), define_class(), point.batch - 1).requests_per_s < 0.5 * full

    def test_is_a_single_request_without_load(self) -> None:
        assert find_point_at_load(LinearTimes(), define_class(), max_batch=87, load=0.0).batch == 1

    def test_scales_the_load_of_requests_of_one_output_token(self) -> None:
        point = find_point_at_load(LinearTimes(), define_class(100, 1), max_batch=1, load=0.5)
        assert point.requests_per_s == pytest.approx(0.475 / 0.025)


class TestRatios:
    def test_are_the_given_ones_at_the_90th_percentile(self) -> None:
        ratios = define_ratios(percentile=90.0, ttft_ratio=2.0, tpot_ratio=1.2)
        assert (ratios.ttft, ratios.tpot) == (pytest.approx(2.0), pytest.approx(1.2))

    def test_follow_an_exponential_tail(self) -> None:
        ratios = define_ratios(percentile=99.0, ttft_ratio=2.0, tpot_ratio=1.2)
        assert (ratios.ttft, ratios.tpot) == (pytest.approx(3.0), pytest.approx(1.4))

    def test_stay_finite_for_all_requests(self) -> None:
        assert define_ratios(percentile=100.0, ttft_ratio=2.0, tpot_ratio=1.2).ttft == pytest.approx(4.0)


class TestSloToLimits:
    def test_divides_bounds_by_the_ratios(self) -> None:
        limits = slo_to_limits(Slo(ttft_s=2.0, tpot_s=0.12, e2e_s=12.0), PercentileRatios(ttft=2.0, tpot=1.2))
        assert (limits.ttft_s, limits.tpot_s, limits.e2e_s) == (1.0, pytest.approx(0.1), pytest.approx(10.0))

    def test_loosens_all_bounds_by_the_slack(self) -> None:
        limits = slo_to_limits(Slo(ttft_s=2.0, tpot_s=0.12), PercentileRatios(ttft=2.0, tpot=1.2), slack=3.0)
        assert (limits.ttft_s, limits.tpot_s, limits.e2e_s) == (3.0, pytest.approx(0.3), math.inf)
