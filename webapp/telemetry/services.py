"""Writing telemetry: samples with their event, roll-ups, retention."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import models, transaction

from webapp.core import events
from webapp.telemetry import rollup
from webapp.telemetry.errors import CursorMovedError
from webapp.telemetry.models import DeploymentSample, GatewayCursor, ShardSample
from webapp.telemetry.points import (
    LATENCY_FIELDS,
    MINUTE_INTERVAL_S,
    RAW_INTERVAL_S,
    DeploymentPoint,
    Rates,
    ShardPoint,
    define_payload,
    point_to_row,
    row_to_point,
    row_to_shard_point,
    shard_point_to_row,
)

RAW_RETENTION: Final = timedelta(hours=6)
MINUTE_RETENTION: Final = timedelta(days=30)
# A collector that was away writes intervals of the past when it is back: minutes this young are summed up again.
_REDO: Final = timedelta(minutes=10)
_BATCH: Final = 500  # rows of one INSERT; SQLite bounds the variables of a statement
_DELETE_BATCH: Final = 5_000  # keeps SQLite's write lock short

_COUNTED: Final = [
    "num_requests", "num_failed", "num_cancelled", "num_within_slo", "prompt_tokens", "output_tokens", "in_flight",
    *LATENCY_FIELDS,
]  # fmt: skip
_MEANS: Final = ["num_running", "num_waiting", "kv_cache_usage_ratio", "output_tokens_per_s", "prompt_tokens_per_s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentTick:
    """What one tick of the collector says of one deployment.

    Attributes:
        points: intervals to add, oldest first; empty when the gateway did not answer.
        rates: what to show beside the newest of them.
    """

    deployment_id: int
    deployment_name: str
    points: tuple[DeploymentPoint, ...]
    rates: Rates
    shards: tuple[ShardPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorMove:
    """How far a gateway's finished requests are counted after a tick, and where that began.

    Attributes:
        from_instance, from_seq: what the collector believes to be stored; empty and 0 before the first move.
    """

    gateway_url: str
    from_instance: str
    from_seq: int
    instance: str
    next_seq: int
    sampled_at: datetime


@transaction.atomic
def record_tick(*, ticks: Sequence[DeploymentTick], move: CursorMove | None, now: datetime) -> None:
    """Write everything one tick measured, and move the cursor: both or neither.

    Raises:
        CursorMovedError: the cursor is not where `move` begins.
    """
    if move is not None:
        _move_cursor(move)
    for tick in ticks:
        record_shard_samples(deployment_id=tick.deployment_id, points=tick.shards)
        if tick.points:
            record_gateway_sample(tick=tick, now=now)


def _move_cursor(move: CursorMove) -> None:
    end = {"instance": move.instance, "next_seq": move.next_seq, "sampled_at": move.sampled_at}
    if not move.from_instance:
        _, is_new = GatewayCursor.objects.get_or_create(gateway_url=move.gateway_url, defaults=end)
        num_moved = int(is_new)
    else:
        rows = GatewayCursor.objects.filter(gateway_url=move.gateway_url, instance=move.from_instance)
        num_moved = rows.filter(next_seq=move.from_seq).update(**end)
    if num_moved != 1:
        raise CursorMovedError(f"another collector reads {move.gateway_url}", gateway_url=move.gateway_url)


@transaction.atomic
def record_gateway_sample(*, tick: DeploymentTick, now: datetime) -> None:
    """Add a deployment's intervals and tell browsers of the newest; an interval that is stored stays as it is."""
    rows = [point_to_row(point, deployment_id=tick.deployment_id) for point in tick.points]
    DeploymentSample.objects.bulk_create(rows, batch_size=_BATCH, ignore_conflicts=True)
    payload = define_payload(tick.points[-1], rates=tick.rates, shards=tick.shards)
    events.emit(topic=f"deployment:{tick.deployment_name}", kind="telemetry", payload=payload, now=now)


@transaction.atomic
def record_shard_samples(*, deployment_id: int, points: Sequence[ShardPoint]) -> None:
    """Add what the shards of a deployment reported; a sample that is stored stays as it is."""
    rows = [shard_point_to_row(point, deployment_id=deployment_id) for point in points]
    ShardSample.objects.bulk_create(rows, batch_size=_BATCH, ignore_conflicts=True)


def roll_up(*, now: datetime) -> None:
    """Sum up complete minutes, then delete what is too old. Repeating it changes nothing."""
    until = rollup.find_interval_end(now, MINUTE_INTERVAL_S) - timedelta(seconds=MINUTE_INTERVAL_S)
    for deployment_id in DeploymentSample.objects.order_by().values_list("deployment_id", flat=True).distinct():
        _roll_up_deployment(deployment_id, until=until)
    for deployment_id in ShardSample.objects.order_by().values_list("deployment_id", flat=True).distinct():
        _roll_up_shards(deployment_id, until=until)
    for model in (DeploymentSample, ShardSample):
        _delete_old(model, interval_s=RAW_INTERVAL_S, before=now - RAW_RETENTION)
        _delete_old(model, interval_s=MINUTE_INTERVAL_S, before=now - MINUTE_RETENTION)


def _find_begin(minutes: models.QuerySet[DeploymentSample] | models.QuerySet[ShardSample], until: datetime) -> datetime:
    """Return the end of the last minute that need not be summed up again."""
    latest: datetime | None = minutes.aggregate(latest=models.Max("sampled_at"))["latest"]
    oldest = rollup.find_interval_end(until - RAW_RETENTION, MINUTE_INTERVAL_S)
    return oldest if latest is None else max(latest - _REDO, oldest)


@transaction.atomic
def _roll_up_deployment(deployment_id: int, *, until: datetime) -> None:
    samples = DeploymentSample.objects.filter(deployment_id=deployment_id)
    begin = _find_begin(samples.filter(interval_s=MINUTE_INTERVAL_S), until)
    raw = samples.filter(interval_s=RAW_INTERVAL_S, sampled_at__gt=begin, sampled_at__lte=until)
    groups = rollup.group_by_interval(map(row_to_point, raw), MINUTE_INTERVAL_S)
    points = [rollup.combine(group, sampled_at=end, interval_s=MINUTE_INTERVAL_S) for end, group in groups.items()]
    DeploymentSample.objects.bulk_create(
        [point_to_row(point, deployment_id=deployment_id) for point in points],
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["deployment", "interval_s", "sampled_at"],
        update_fields=_COUNTED,
    )


@transaction.atomic
def _roll_up_shards(deployment_id: int, *, until: datetime) -> None:
    samples = ShardSample.objects.filter(deployment_id=deployment_id)
    begin = _find_begin(samples.filter(interval_s=MINUTE_INTERVAL_S), until)
    raw = samples.filter(interval_s=RAW_INTERVAL_S, sampled_at__gt=begin, sampled_at__lte=until)
    ShardSample.objects.bulk_create(
        [
            shard_point_to_row(point, deployment_id=deployment_id)
            for points in _group_by_shard(map(row_to_shard_point, raw)).values()
            for point in _combine_shard_minutes(points)
        ],
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["deployment", "interval_s", "sampled_at", "shard_id"],
        update_fields=_MEANS,
    )


def _group_by_shard(points: Iterable[ShardPoint]) -> Mapping[str, list[ShardPoint]]:
    groups: dict[str, list[ShardPoint]] = {}
    for point in points:
        groups.setdefault(point.shard_id, []).append(point)
    return groups


def _combine_shard_minutes(points: Iterable[ShardPoint]) -> list[ShardPoint]:
    groups = rollup.group_by_interval(points, MINUTE_INTERVAL_S)
    return [rollup.combine_shard(group, sampled_at=end, interval_s=MINUTE_INTERVAL_S) for end, group in groups.items()]


def _delete_old(model: type[DeploymentSample] | type[ShardSample], *, interval_s: float, before: datetime) -> None:
    old = model.objects.filter(interval_s=interval_s, sampled_at__lt=before).values_list("pk", flat=True)
    while ids := list(old[:_DELETE_BATCH]):
        for start in range(0, len(ids), _BATCH):
            model.objects.filter(pk__in=ids[start : start + _BATCH]).delete()
