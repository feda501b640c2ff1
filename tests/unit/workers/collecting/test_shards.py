"""Shards' figures become points."""

from dataclasses import dataclass

import pytest

from engine.serving.protocol import ShardMetrics
from tests.support.telemetry import at
from workers.collecting import shards


@dataclass(frozen=True)
class _Reading:
    seconds: float
    generated: int
    prompt: int = 0
    shard_id: str = "s1"

    def to_metrics(self) -> ShardMetrics:
        return ShardMetrics(
            shard_id=self.shard_id,
            num_running=3,
            num_waiting=1,
            kv_cache_usage_ratio=0.25,
            prompt_tokens_total=self.prompt,
            generation_tokens_total=self.generated,
            num_preemptions_total=0,
            observed_at=at(self.seconds),
        )


class TestComputeRate:
    """A rate..."""

    @pytest.mark.parametrize(
        ("earlier", "later", "elapsed_s", "expected"),
        [(100, 140, 2.0, 20.0), (100, 100, 2.0, 0.0), (100, 30, 2.0, 15.0), (0, 0, 2.0, 0.0), (100, 0, 2.0, 0.0)],
    )
    def test_takes_a_counter_that_fell_for_a_new_one(
        self, earlier: int, later: int, elapsed_s: float, expected: float
    ) -> None:
        assert shards.compute_rate(earlier=earlier, later=later, elapsed_s=elapsed_s) == expected


class TestBuildShardPoints:
    """Shard points..."""

    def _build(self, earlier: _Reading | None, later: _Reading) -> list[tuple[float, float]]:
        known = {} if earlier is None else {earlier.shard_id: earlier.to_metrics()}
        points = shards.build_shard_points(known, [later.to_metrics()], sampled_at=at(4))
        return [(point.output_tokens_per_s, point.prompt_tokens_per_s) for point in points]

    def test_hold_gauges_and_rates(self) -> None:
        known = {"s1": _Reading(1.9, 100, 50).to_metrics()}
        [point] = shards.build_shard_points(known, [_Reading(3.9, 140, 80).to_metrics()], sampled_at=at(4))
        assert (point.shard_id, point.sampled_at, point.interval_s) == ("s1", at(4), 2.0)
        assert (point.num_running, point.num_waiting, point.kv_cache_usage_ratio) == (3.0, 1.0, 0.25)
        assert (point.output_tokens_per_s, point.prompt_tokens_per_s) == (pytest.approx(20.0), pytest.approx(15.0))

    def test_start_with_the_second_reading(self) -> None:
        assert self._build(None, _Reading(3.9, 140)) == []

    def test_need_two_instants(self) -> None:
        assert self._build(_Reading(3.9, 140), _Reading(3.9, 140)) == []

    def test_survive_a_restart_of_the_shard(self) -> None:
        assert self._build(_Reading(2.0, 5_000, 9_000), _Reading(4.0, 10, 20)) == [(5.0, 10.0)]

    def test_keep_shards_apart(self) -> None:
        assert self._build(_Reading(2.0, 100, shard_id="other"), _Reading(4.0, 140)) == []
