"""What the telemetry call takes and gives."""

from datetime import datetime
from typing import Annotated, Final

from ninja import Schema
from pydantic import ConfigDict, Field

_LONGEST_S: Final = 30 * 86_400  # what is kept


class TelemetryQuery(Schema):
    """How far back to look."""

    model_config = ConfigDict(extra="forbid")

    window_s: Annotated[float, Field(ge=10, le=_LONGEST_S)] = 600.0


class ShardSeriesOut(Schema):
    """Columns of one shard."""

    sampled_at: list[datetime]
    num_running: list[float]
    num_waiting: list[float]
    kv_cache_usage_ratio: list[float]
    output_tokens_per_s: list[float]


class TelemetryOut(Schema):
    """Columns of one deployment, oldest first; null where nothing finished, or was seen."""

    deployment: str
    since: datetime
    until: datetime
    interval_s: float
    sampled_at: list[datetime]
    requests_per_s: list[float]
    output_tokens_per_s: list[float]
    prompt_tokens_per_s: list[float]
    num_requests: list[int]
    num_failed: list[int]
    num_cancelled: list[int]
    num_within_slo: list[int]
    in_flight: list[int | None]
    ttft_p50_s: list[float | None]
    ttft_p90_s: list[float | None]
    tpot_p50_s: list[float | None]
    tpot_p90_s: list[float | None]
    e2e_p50_s: list[float | None]
    e2e_p90_s: list[float | None]
    shards: dict[str, ShardSeriesOut]
