"""Points of a longer interval from points of shorter ones. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from webapp.telemetry.points import (
    LATENCY_FIELDS,
    LATENCY_WINDOW_S,
    RATE_WINDOW_S,
    RAW_INTERVAL_S,
    DeploymentPoint,
    Latencies,
    Rates,
    ShardPoint,
)

P = TypeVar("P", DeploymentPoint, ShardPoint)
_EPSILON_S: Final = 1e-6  # instants come from floats


def find_interval_end(instant: datetime, interval_s: float) -> datetime:
    """Return the end of the interval that holds `instant`; intervals lie on a grid of UTC, open at their start."""
    return datetime.fromtimestamp(math.ceil(instant.timestamp() / interval_s - _EPSILON_S) * interval_s, UTC)


def group_by_interval(points: Iterable[P], interval_s: float) -> Mapping[datetime, list[P]]:
    """Return points by the end of the interval they belong to, each group in order of time."""
    groups: dict[datetime, list[P]] = {}
    for point in sorted(points, key=lambda point: point.sampled_at):
        groups.setdefault(find_interval_end(point.sampled_at, interval_s), []).append(point)
    return groups


def combine(points: Sequence[DeploymentPoint], *, sampled_at: datetime, interval_s: float) -> DeploymentPoint:
    """Return the point of a longer interval.

    Counts are exact. Percentiles cannot be: they are the mean, weighted by requests, of percentiles over windows that
    cover the interval once: for raw points the last one of each 30 s window, else every point.

    Args:
        points: at least one, in order of time, all of one length.
        sampled_at: end of the interval.
        interval_s: length of the interval [s].
    """
    return DeploymentPoint(
        sampled_at=sampled_at,
        interval_s=interval_s,
        num_requests=sum(point.num_requests for point in points),
        num_failed=sum(point.num_failed for point in points),
        num_cancelled=sum(point.num_cancelled for point in points),
        num_within_slo=sum(point.num_within_slo for point in points),
        prompt_tokens=sum(point.prompt_tokens for point in points),
        output_tokens=sum(point.output_tokens for point in points),
        in_flight=max((point.in_flight for point in points if point.in_flight is not None), default=None),
        latencies=_combine_latencies(points),
    )


def _combine_latencies(points: Sequence[DeploymentPoint]) -> Latencies:
    window_s = LATENCY_WINDOW_S if points[0].interval_s == RAW_INTERVAL_S else points[0].interval_s
    windows = group_by_interval(points, window_s).values()
    weighted = [(window[-1].latencies, sum(point.num_requests for point in window)) for window in windows]
    return Latencies(**{field: _compute_mean(weighted, field) for field in LATENCY_FIELDS})


def _compute_mean(weighted: Sequence[tuple[Latencies, int]], field: str) -> float | None:
    known = [(getattr(latencies, field), weight) for latencies, weight in weighted]
    known = [(value, weight) for value, weight in known if value is not None and weight > 0]
    if not known:
        return None
    return float(sum(value * weight for value, weight in known) / sum(weight for _, weight in known))


def combine_shard(points: Sequence[ShardPoint], *, sampled_at: datetime, interval_s: float) -> ShardPoint:
    """Return the means of one shard over a longer interval.

    Args:
        points: at least one, all of one shard.
        sampled_at: end of the interval.
        interval_s: length of the interval [s].
    """
    num_points = len(points)
    return ShardPoint(
        shard_id=points[0].shard_id,
        sampled_at=sampled_at,
        interval_s=interval_s,
        num_running=sum(point.num_running for point in points) / num_points,
        num_waiting=sum(point.num_waiting for point in points) / num_points,
        kv_cache_usage_ratio=sum(point.kv_cache_usage_ratio for point in points) / num_points,
        output_tokens_per_s=sum(point.output_tokens_per_s for point in points) / num_points,
        prompt_tokens_per_s=sum(point.prompt_tokens_per_s for point in points) / num_points,
    )


def compute_rates(points: Sequence[DeploymentPoint], *, at: datetime) -> Rates:
    """Return the rates to show at `at`: over the last 10 s of raw points, over its own interval for a roll-up.

    Args:
        points: the points that end at or before `at`; others are ignored.
        at: end of the latest of them.
    """
    window_s = max([RATE_WINDOW_S, *(point.interval_s for point in points if point.sampled_at == at)])
    begin = at - timedelta(seconds=window_s)
    counted = [point for point in points if begin < point.sampled_at <= at]
    return Rates(
        requests_per_s=sum(point.num_requests for point in counted) / window_s,
        output_tokens_per_s=sum(point.output_tokens for point in counted) / window_s,
        prompt_tokens_per_s=sum(point.prompt_tokens for point in counted) / window_s,
    )
