"""Writing telemetry: samples with their event, roll-ups, retention."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import models, transaction

from webapp.core import events
from webapp.deployments.models import Deployment
from webapp.telemetry import rollup
from webapp.telemetry.errors import CursorMovedError
from webapp.telemetry.models import DeploymentSample, GatewayCursor, ShardSample
from webapp.telemetry.points import (
    HOUR_INTERVAL_S,
    LATENCY_FIELDS,
    MINUTE_INTERVAL_S,
    RAW_INTERVAL_S,
    DeploymentPoint,
    Rates,
    ShardPoint,
    define_payload,
    list_points,
    list_shard_points,
    point_to_row,
    shard_point_to_row,
)

RAW_RETENTION: Final = timedelta(hours=6)
ROLL_UP_RETENTION: Final = timedelta(days=30)
_BATCH: Final = 500  # rows of one INSERT; SQLite bounds the variables of a statement
_DELETE_BATCH: Final = 5_000  # keeps SQLite's write lock short

_COUNTED: Final = [
    "num_requests", "num_failed", "num_cancelled", "num_within_slo", "prompt_tokens", "output_tokens", "in_flight",
    *LATENCY_FIELDS,
]  # fmt: skip
_MEANS: Final = ["num_running", "num_waiting", "kv_cache_usage_ratio", "output_tokens_per_s", "prompt_tokens_per_s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollUpLevel:
    """From which intervals longer ones are made.

    Attributes:
        redo: intervals this young are made again: a collector that was away writes into the past when it is back.
    """

    interval_s: float
    source_interval_s: float
    source_retention: timedelta
    redo: timedelta


LEVELS: Final = (
    RollUpLevel(
        interval_s=MINUTE_INTERVAL_S,
        source_interval_s=RAW_INTERVAL_S,
        source_retention=RAW_RETENTION,
        redo=timedelta(minutes=10),
    ),
    RollUpLevel(
        interval_s=HOUR_INTERVAL_S,
        source_interval_s=MINUTE_INTERVAL_S,
        source_retention=ROLL_UP_RETENTION,
        redo=timedelta(hours=1),
    ),
)


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
    """Sum up complete minutes and hours, then delete what is too old. Repeating it changes nothing."""
    deployment_ids = list(Deployment.objects.order_by("pk").values_list("pk", flat=True))
    for level in LEVELS:
        until = rollup.find_interval_end(now, level.interval_s) - timedelta(seconds=level.interval_s)
        for deployment_id in deployment_ids:
            _roll_up_deployment(deployment_id, level=level, until=until)
            _roll_up_shards(deployment_id, level=level, until=until)
    for model in (DeploymentSample, ShardSample):
        _delete_old(model, interval_s=RAW_INTERVAL_S, before=now - RAW_RETENTION)
        for level in LEVELS:
            _delete_old(model, interval_s=level.interval_s, before=now - ROLL_UP_RETENTION)


def _find_begin(
    done: models.QuerySet[DeploymentSample] | models.QuerySet[ShardSample], level: RollUpLevel, until: datetime
) -> datetime:
    """Return the end of the last interval that need not be summed up again."""
    latest: datetime | None = done.aggregate(latest=models.Max("sampled_at"))["latest"]
    oldest = rollup.find_interval_end(until - level.source_retention, level.interval_s)
    return oldest if latest is None else max(latest - level.redo, oldest)


@transaction.atomic
def _roll_up_deployment(deployment_id: int, *, level: RollUpLevel, until: datetime) -> None:
    samples = DeploymentSample.objects.filter(deployment_id=deployment_id)
    begin = _find_begin(samples.filter(interval_s=level.interval_s), level, until)
    source = samples.filter(interval_s=level.source_interval_s, sampled_at__gt=begin, sampled_at__lte=until)
    groups = rollup.group_by_interval(list_points(source), level.interval_s)
    points = [rollup.combine(group, sampled_at=end, interval_s=level.interval_s) for end, group in groups.items()]
    DeploymentSample.objects.bulk_create(
        [point_to_row(point, deployment_id=deployment_id) for point in points],
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["deployment", "interval_s", "sampled_at"],
        update_fields=_COUNTED,
    )


@transaction.atomic
def _roll_up_shards(deployment_id: int, *, level: RollUpLevel, until: datetime) -> None:
    samples = ShardSample.objects.filter(deployment_id=deployment_id)
    begin = _find_begin(samples.filter(interval_s=level.interval_s), level, until)
    source = samples.filter(interval_s=level.source_interval_s, sampled_at__gt=begin, sampled_at__lte=until)
    ShardSample.objects.bulk_create(
        [
            shard_point_to_row(point, deployment_id=deployment_id)
            for points in _group_by_shard(list_shard_points(source)).values()
            for point in _combine_shard(points, level.interval_s)
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


def _combine_shard(points: Iterable[ShardPoint], interval_s: float) -> list[ShardPoint]:
    groups = rollup.group_by_interval(points, interval_s)
    return [rollup.combine_shard(group, sampled_at=end, interval_s=interval_s) for end, group in groups.items()]


def _delete_old(model: type[DeploymentSample] | type[ShardSample], *, interval_s: float, before: datetime) -> None:
    old = model.objects.filter(interval_s=interval_s, sampled_at__lt=before).values_list("pk", flat=True)
    while ids := list(old[:_DELETE_BATCH]):
        for start in range(0, len(ids), _BATCH):
            model.objects.filter(pk__in=ids[start : start + _BATCH]).delete()
