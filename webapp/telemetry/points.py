"""Points of telemetry as values: what the collector measures, what rows keep, what charts get."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from webapp.telemetry.models import DeploymentSample, ShardSample

RAW_INTERVAL_S: Final = 2.0
MINUTE_INTERVAL_S: Final = 60.0
HOUR_INTERVAL_S: Final = 3600.0
LATENCY_WINDOW_S: Final = 30.0  # of a raw point's percentiles: a slow service finishes too few requests in 2 s
RATE_WINDOW_S: Final = 10.0  # of rates shown for raw points: single intervals jump between 0 and a few requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Percentiles of finished requests [s]; None when none finished."""

    ttft_p50_s: float | None = None
    ttft_p90_s: float | None = None
    tpot_p50_s: float | None = None
    tpot_p90_s: float | None = None
    e2e_p50_s: float | None = None
    e2e_p90_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPoint:
    """One interval of one deployment, as the gateway saw it.

    Attributes:
        sampled_at: end of the interval, UTC.
        interval_s: length of the interval [s].
        num_requests: requests that finished in any way; failed, cancelled and within the SLO are parts of it.
        in_flight: requests in the gateway at the end of the interval; None when it was counted afterwards; the most
            of them in a roll-up.
    """

    sampled_at: datetime
    interval_s: float
    num_requests: int
    num_failed: int
    num_cancelled: int
    num_within_slo: int
    prompt_tokens: int
    output_tokens: int
    in_flight: int | None
    latencies: Latencies


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPoint:
    """One shard at the end of one interval; means in a roll-up."""

    shard_id: str
    sampled_at: datetime
    interval_s: float
    num_running: float
    num_waiting: float
    kv_cache_usage_ratio: float
    output_tokens_per_s: float
    prompt_tokens_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Finished work per second."""

    requests_per_s: float
    output_tokens_per_s: float
    prompt_tokens_per_s: float


LATENCY_FIELDS: Final = ("ttft_p50_s", "ttft_p90_s", "tpot_p50_s", "tpot_p90_s", "e2e_p50_s", "e2e_p90_s")
COUNT_FIELDS: Final = ("num_requests", "num_failed", "num_cancelled", "num_within_slo")
SHARD_FIELDS: Final = ("num_running", "num_waiting", "kv_cache_usage_ratio", "output_tokens_per_s")
_POINT_FIELDS: Final = ("sampled_at", "interval_s", *COUNT_FIELDS, "prompt_tokens", "output_tokens", "in_flight")
_SHARD_POINT_FIELDS: Final = ("shard_id", "sampled_at", "interval_s", *SHARD_FIELDS, "prompt_tokens_per_s")


def point_to_row(point: DeploymentPoint, *, deployment_id: int) -> DeploymentSample:
    """Return the row of a point, not saved."""
    return DeploymentSample(
        deployment_id=deployment_id,
        sampled_at=point.sampled_at,
        interval_s=point.interval_s,
        num_requests=point.num_requests,
        num_failed=point.num_failed,
        num_cancelled=point.num_cancelled,
        num_within_slo=point.num_within_slo,
        prompt_tokens=point.prompt_tokens,
        output_tokens=point.output_tokens,
        in_flight=point.in_flight,
        **{field: getattr(point.latencies, field) for field in LATENCY_FIELDS},
    )


def list_points(rows: QuerySet[DeploymentSample]) -> list[DeploymentPoint]:
    """Return the points of rows, oldest first; without model instances, which cost ten times as much."""
    values = rows.order_by("sampled_at").values_list(*_POINT_FIELDS, *LATENCY_FIELDS)
    return [_values_to_point(row) for row in values]


def _values_to_point(values: Sequence[Any]) -> DeploymentPoint:
    num_own = len(_POINT_FIELDS)
    own = dict(zip(_POINT_FIELDS, values[:num_own], strict=True))
    return DeploymentPoint(**own, latencies=Latencies(**dict(zip(LATENCY_FIELDS, values[num_own:], strict=True))))


def shard_point_to_row(point: ShardPoint, *, deployment_id: int) -> ShardSample:
    """Return the row of a shard's point, not saved."""
    return ShardSample(
        deployment_id=deployment_id,
        shard_id=point.shard_id,
        sampled_at=point.sampled_at,
        interval_s=point.interval_s,
        num_running=point.num_running,
        num_waiting=point.num_waiting,
        kv_cache_usage_ratio=point.kv_cache_usage_ratio,
        output_tokens_per_s=point.output_tokens_per_s,
        prompt_tokens_per_s=point.prompt_tokens_per_s,
    )


def list_shard_points(rows: QuerySet[ShardSample]) -> list[ShardPoint]:
    """Return the points of shards' rows, oldest first."""
    values = rows.order_by("sampled_at", "shard_id").values_list(*_SHARD_POINT_FIELDS)
    return [ShardPoint(**dict(zip(_SHARD_POINT_FIELDS, row, strict=True))) for row in values]


def define_payload(point: DeploymentPoint, *, rates: Rates, shards: tuple[ShardPoint, ...]) -> Mapping[str, object]:
    """Return the JSON-able payload of the `telemetry` event: one column of every chart of the page."""
    return {
        "sampled_at": point.sampled_at.isoformat(),
        "requests_per_s": rates.requests_per_s,
        "output_tokens_per_s": rates.output_tokens_per_s,
        "prompt_tokens_per_s": rates.prompt_tokens_per_s,
        **{field: getattr(point, field) for field in COUNT_FIELDS},
        "in_flight": point.in_flight,
        **{field: getattr(point.latencies, field) for field in LATENCY_FIELDS},
        "shards": [
            {"shard_id": shard.shard_id} | {field: getattr(shard, field) for field in SHARD_FIELDS} for shard in shards
        ],
    }
