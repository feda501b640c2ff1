"""Shards' figures as points: gauges as they are, rates from counters that may start anew. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from engine.serving.protocol import ShardMetrics
from webapp.telemetry.points import RAW_INTERVAL_S, ShardPoint


def compute_rate(*, earlier: int, later: int, elapsed_s: float) -> float:
    """Return the mean rate of a counter between two readings.

    A counter that fell was started anew: all it shows came since the earlier reading.

    Args:
        earlier, later: the readings.
        elapsed_s: time between them [s], > 0.
    """
    return (later - earlier if later >= earlier else later) / elapsed_s


def build_shard_point(earlier: ShardMetrics, later: ShardMetrics, *, sampled_at: datetime) -> ShardPoint:
    """Return the point of one shard from two readings of different instants."""
    elapsed_s = (later.observed_at - earlier.observed_at).total_seconds()
    return ShardPoint(
        shard_id=later.shard_id,
        sampled_at=sampled_at,
        interval_s=RAW_INTERVAL_S,
        num_running=later.num_running,
        num_waiting=later.num_waiting,
        kv_cache_usage_ratio=later.kv_cache_usage_ratio,
        output_tokens_per_s=compute_rate(
            earlier=earlier.generation_tokens_total, later=later.generation_tokens_total, elapsed_s=elapsed_s
        ),
        prompt_tokens_per_s=compute_rate(
            earlier=earlier.prompt_tokens_total, later=later.prompt_tokens_total, elapsed_s=elapsed_s
        ),
    )


def build_shard_points(
    earlier: Mapping[str, ShardMetrics], later: Sequence[ShardMetrics], *, sampled_at: datetime
) -> tuple[ShardPoint, ...]:
    """Return the points of all shards that were read at two instants; a shard read once has no rate yet."""
    return tuple(
        build_shard_point(earlier[metrics.shard_id], metrics, sampled_at=sampled_at)
        for metrics in later
        if metrics.shard_id in earlier and metrics.observed_at > earlier[metrics.shard_id].observed_at
    )
