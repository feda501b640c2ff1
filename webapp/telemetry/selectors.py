"""Reading telemetry: points, the latest state, and series ready for charts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from webapp.core.errors import NotFoundError
from webapp.deployments.models import Deployment, DeploymentState, Shard, ShardState
from webapp.telemetry import rollup
from webapp.telemetry.models import DeploymentSample, GatewayCursor, ShardSample
from webapp.telemetry.points import (
    COUNT_FIELDS,
    HOUR_INTERVAL_S,
    LATENCY_FIELDS,
    MINUTE_INTERVAL_S,
    RATE_WINDOW_S,
    RAW_INTERVAL_S,
    SHARD_FIELDS,
    DeploymentPoint,
    Rates,
    ShardPoint,
    define_payload,
    list_points,
    list_shard_points,
)

_INTERVALS_S: Final = (RAW_INTERVAL_S, MINUTE_INTERVAL_S, HOUR_INTERVAL_S)
_MAX_POINTS: Final = 1800  # of one line: an hour of raw samples, 30 hours of minutes
_MAX_SHARD_ROWS: Final = 6_000  # of all shards of one answer
_STALE: Final = timedelta(seconds=30)  # shards not seen for longer are no part of the latest state
_RATE_FIELDS: Final = ("requests_per_s", "output_tokens_per_s", "prompt_tokens_per_s")
_WATCHED: Final = (DeploymentState.APPLYING, DeploymentState.LIVE, DeploymentState.DEGRADED, DeploymentState.STOPPING)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedDeployment:
    """A deployment the collector writes samples for."""

    id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a gateway was counted; `instance` is empty before the first time."""

    instance: str
    next_seq: int
    sampled_at: datetime | None


def list_watched_deployments() -> list[WatchedDeployment]:
    """Return the deployments that serve or soon will."""
    rows = Deployment.objects.filter(state__in=_WATCHED).order_by("name")
    return [WatchedDeployment(id=row.pk, name=row.name) for row in rows.only("pk", "name")]


def get_cursor(*, gateway_url: str) -> Cursor:
    """Return how far the gateway was counted."""
    row = GatewayCursor.objects.filter(gateway_url=gateway_url).first()
    if row is None:
        return Cursor(instance="", next_seq=0, sampled_at=None)
    return Cursor(instance=row.instance, next_seq=row.next_seq, sampled_at=row.sampled_at)


def list_deployment_samples(
    *, deployment_name: str, since: datetime, until: datetime, interval_s: float = RAW_INTERVAL_S
) -> list[DeploymentPoint]:
    """Return points with since < sampled_at <= until, oldest first."""
    rows = DeploymentSample.objects.filter(
        deployment__name=deployment_name, interval_s=interval_s, sampled_at__gt=since, sampled_at__lte=until
    )
    return list_points(rows)


def list_shard_samples(
    *, deployment_name: str, since: datetime, until: datetime, interval_s: float = RAW_INTERVAL_S
) -> list[ShardPoint]:
    """Return the shards' points with since < sampled_at <= until, oldest first."""
    rows = ShardSample.objects.filter(
        deployment__name=deployment_name, interval_s=interval_s, sampled_at__gt=since, sampled_at__lte=until
    )
    return list_shard_points(rows)


def get_latest(*, deployment_name: str, now: datetime) -> Mapping[str, object] | None:
    """Return the latest state in the form of a `telemetry` event; None when nothing was measured in the last 30 s."""
    since = now - _STALE
    points = list_deployment_samples(deployment_name=deployment_name, since=since, until=now)
    if not points:
        return None
    latest = points[-1]
    shards = {
        point.shard_id: point
        for point in list_shard_samples(deployment_name=deployment_name, since=since, until=latest.sampled_at)
    }
    return define_payload(
        latest,
        rates=rollup.compute_rates(points, at=latest.sampled_at),
        shards=tuple(shards[key] for key in sorted(shards)),
    )


def build_series(*, deployment_name: str, window_s: float, now: datetime) -> dict[str, object]:
    """Return what the charts of a deployment's page draw, as JSON-able columns.

    `sampled_at`, the rates, counts and latencies are lists of one length; `shards` has such columns per shard. The
    names are those of the `telemetry` event, so that a page appends an event to the columns it has.

    Args:
        deployment_name: a deployment.
        window_s: how far back [s].
        now: end of the window.
    Raises:
        NotFoundError: there is no such deployment.
    """
    if not Deployment.objects.filter(name=deployment_name).exists():
        raise NotFoundError(f"there is no deployment {deployment_name!r}", field="name")
    since = now - timedelta(seconds=window_s)
    interval_s = next((one for one in _INTERVALS_S if window_s <= one * _MAX_POINTS), HOUR_INTERVAL_S)
    return {
        "deployment": deployment_name,
        "since": since.isoformat(),
        "until": now.isoformat(),
        "interval_s": interval_s,
        **_build_columns(deployment_name, since=since, until=now, interval_s=interval_s),
        "shards": _build_shard_columns(deployment_name, since=since, until=now, interval_s=interval_s),
    }


def _build_columns(deployment_name: str, *, since: datetime, until: datetime, interval_s: float) -> dict[str, object]:
    earlier = since - timedelta(seconds=RATE_WINDOW_S)  # the first point shown has rates over what came before it
    points = list_deployment_samples(deployment_name=deployment_name, since=earlier, until=until, interval_s=interval_s)
    shown = [point for point in points if point.sampled_at > since]
    rates = _list_rates(points)[len(points) - len(shown) :]
    return {
        "sampled_at": [point.sampled_at.isoformat() for point in shown],
        **{field: [getattr(rate, field) for rate in rates] for field in _RATE_FIELDS},
        **{field: [getattr(point, field) for point in shown] for field in (*COUNT_FIELDS, "in_flight")},
        **{field: [getattr(point.latencies, field) for point in shown] for field in LATENCY_FIELDS},
    }


def _list_rates(points: Sequence[DeploymentPoint]) -> list[Rates]:
    num_behind = round(RATE_WINDOW_S / RAW_INTERVAL_S)  # a point looks at no more than these
    return [
        rollup.compute_rates(points[max(0, index + 1 - num_behind) : index + 1], at=point.sampled_at)
        for index, point in enumerate(points)
    ]


def _build_shard_columns(
    deployment_name: str, *, since: datetime, until: datetime, interval_s: float
) -> dict[str, dict[str, list[object]]]:
    """Return columns per shard; where they would be too many, every n-th instant of the grid is left."""
    instants = _list_grid(since=since, until=until, interval_s=interval_s)
    num_points = max(1, _MAX_SHARD_ROWS // _count_shards(deployment_name))
    stride = math.ceil(len(instants) / num_points)
    samples = ShardSample.objects.filter(
        deployment__name=deployment_name, interval_s=interval_s, sampled_at__gt=since, sampled_at__lte=until
    )
    if stride > 1:
        samples = samples.filter(sampled_at__in=instants[::-1][::stride])
    columns: dict[str, dict[str, list[object]]] = {}
    for shard_id, *values in samples.order_by("sampled_at").values_list("shard_id", "sampled_at", *SHARD_FIELDS):
        shard = columns.setdefault(shard_id, {field: [] for field in ("sampled_at", *SHARD_FIELDS)})
        shard["sampled_at"].append(values[0].isoformat())
        for field, value in zip(SHARD_FIELDS, values[1:], strict=True):
            shard[field].append(value)
    return dict(sorted(columns.items()))


def _list_grid(*, since: datetime, until: datetime, interval_s: float) -> list[datetime]:
    """Return the ends of all intervals with since < end <= until."""
    step = timedelta(seconds=interval_s)
    first = rollup.find_interval_end(since + timedelta(microseconds=1), interval_s)
    return [first + number * step for number in range(max(0, math.floor((until - first) / step) + 1))]


def _count_shards(deployment_name: str) -> int:
    """Return how many shards there are to draw, at least 1: those that run, or else those that did."""
    rows = Shard.objects.filter(deployment__name=deployment_name)
    return rows.exclude(state=ShardState.STOPPED).count() or rows.count() or 1
