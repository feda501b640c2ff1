"""Reading telemetry: points, the latest state, and series ready for charts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from webapp.core.errors import NotFoundError
from webapp.deployments.models import Deployment, DeploymentState
from webapp.telemetry import rollup
from webapp.telemetry.models import DeploymentSample, GatewayCursor, ShardSample
from webapp.telemetry.points import (
    COUNT_FIELDS,
    LATENCY_FIELDS,
    MINUTE_INTERVAL_S,
    RATE_WINDOW_S,
    RAW_INTERVAL_S,
    SHARD_FIELDS,
    DeploymentPoint,
    Rates,
    ShardPoint,
    define_payload,
    row_to_point,
    row_to_shard_point,
)

_LONGEST_RAW: Final = timedelta(hours=1)  # longer windows are drawn from minutes
_MAX_POINTS: Final = 1800  # of one line: what an hour of raw samples has
_MAX_SHARD_ROWS: Final = 12_000  # of all shards of one answer
_MIN_SHARD_POINTS: Final = 30
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
    return [row_to_point(row) for row in rows.order_by("sampled_at")]


def list_shard_samples(
    *, deployment_name: str, since: datetime, until: datetime, interval_s: float = RAW_INTERVAL_S
) -> list[ShardPoint]:
    """Return the shards' points with since < sampled_at <= until, oldest first."""
    rows = ShardSample.objects.filter(
        deployment__name=deployment_name, interval_s=interval_s, sampled_at__gt=since, sampled_at__lte=until
    )
    return [row_to_shard_point(row) for row in rows.order_by("sampled_at", "shard_id")]


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
    window = timedelta(seconds=window_s)
    interval_s = RAW_INTERVAL_S if window <= _LONGEST_RAW else MINUTE_INTERVAL_S
    shown_s = interval_s * max(1, math.ceil(window_s / interval_s / _MAX_POINTS))
    since = now - window
    return {
        "deployment": deployment_name,
        "since": since.isoformat(),
        "until": now.isoformat(),
        "interval_s": shown_s,
        **_build_columns(deployment_name, since=since, until=now, interval_s=interval_s, shown_s=shown_s),
        "shards": _build_shard_columns(deployment_name, since=since, until=now, interval_s=interval_s),
    }


def _build_columns(
    deployment_name: str, *, since: datetime, until: datetime, interval_s: float, shown_s: float
) -> dict[str, object]:
    earlier = since - timedelta(seconds=RATE_WINDOW_S)  # the first point shown has rates over what came before it
    points = list_deployment_samples(deployment_name=deployment_name, since=earlier, until=until, interval_s=interval_s)
    if shown_s != interval_s:
        groups = rollup.group_by_interval(points, shown_s)
        points = [rollup.combine(group, sampled_at=end, interval_s=shown_s) for end, group in groups.items()]
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
    samples = ShardSample.objects.filter(
        deployment__name=deployment_name, interval_s=interval_s, sampled_at__gt=since, sampled_at__lte=until
    )
    num_shards = samples.order_by().values("shard_id").distinct().count()
    instants = list(samples.order_by("sampled_at").values_list("sampled_at", flat=True).distinct())
    num_points = min(_MAX_POINTS, max(_MIN_SHARD_POINTS, _MAX_SHARD_ROWS // max(1, num_shards)))
    stride = max(1, math.ceil(len(instants) / num_points))
    kept = samples if stride == 1 else samples.filter(sampled_at__in=instants[::-1][::stride])
    columns: dict[str, dict[str, list[object]]] = {}
    for row in kept.order_by("sampled_at"):
        shard = columns.setdefault(row.shard_id, {field: [] for field in ("sampled_at", *SHARD_FIELDS)})
        shard["sampled_at"].append(row.sampled_at.isoformat())
        for field in SHARD_FIELDS:
            shard[field].append(getattr(row, field))
    return dict(sorted(columns.items()))
