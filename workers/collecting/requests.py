"""Finished requests of the gateway, and the points they make. Pure.

Every request is counted once, in the interval it finished in; an interval that is written already is not opened
again: a request that shows up late counts in the next one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.gateway.protocol import Outcome
from webapp.telemetry import rollup
from webapp.telemetry.points import (
    LATENCY_WINDOW_S,
    RATE_WINDOW_S,
    RAW_INTERVAL_S,
    DeploymentPoint,
    Latencies,
    Rates,
)

_INTERVAL: Final = timedelta(seconds=RAW_INTERVAL_S)
# A request from the near future is counted when its time has come; further away is a clock that runs ahead.
_MAX_AHEAD: Final = timedelta(seconds=5)
NO_RATES: Final = Rates(requests_per_s=0.0, output_tokens_per_s=0.0, prompt_tokens_per_s=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRequest:
    """One request as the gateway saw it end.

    Attributes:
        seq: its number in the gateway process.
        finished_at: instant of its end, UTC.
        ttft_s, tpot_s, e2e_s: latencies [s]; None where the request did not come that far.
    """

    seq: int
    deployment: str
    finished_at: datetime
    outcome: Outcome
    ttft_s: float | None
    tpot_s: float | None
    e2e_s: float | None
    prompt_tokens: int
    output_tokens: int
    is_within_slo: bool


def from_unix(instant_s: float) -> datetime:
    """Return the UTC instant of a Unix time [s]."""
    return datetime.fromtimestamp(instant_s, UTC)


def take_due(requests: Sequence[FinishedRequest], *, until: datetime) -> list[FinishedRequest]:
    """Return the requests to count at `until`: all up to the first that finished just after it.

    Args:
        requests: in order of their number.
        until: end of the interval being closed.
    """
    due: list[FinishedRequest] = []
    for request in requests:
        if until < request.finished_at <= until + _MAX_AHEAD:
            break
        due.append(replace(request, finished_at=min(request.finished_at, until)))
    return due


def select_served(requests: Iterable[FinishedRequest], *, deployment_name: str) -> list[FinishedRequest]:
    """Return the requests of one deployment, without rejected ones: those are their callers' mistakes."""
    return [
        request
        for request in requests
        if request.deployment == deployment_name and request.outcome is not Outcome.REJECTED
    ]


def keep_recent(requests: Iterable[FinishedRequest], *, until: datetime) -> list[FinishedRequest]:
    """Return the requests that percentiles after `until` still look at."""
    oldest = until - timedelta(seconds=LATENCY_WINDOW_S)
    return [request for request in requests if request.finished_at > oldest]


def build_points(
    due: Sequence[FinishedRequest],
    *,
    earlier: Sequence[FinishedRequest],
    after: datetime | None,
    until: datetime,
    in_flight: int,
) -> tuple[DeploymentPoint, ...]:
    """Return one point per interval that a request finished in, and always the one that ends at `until`.

    Args:
        due: requests of one deployment to count now.
        earlier: requests of it counted before, for the percentiles.
        after: end of the latest interval that is written; None when there is none.
        until: end of the interval being closed.
        in_flight: requests in the gateway now.
    """
    groups: dict[datetime, list[FinishedRequest]] = {until: []}
    for request in due:
        end = min(rollup.find_interval_end(request.finished_at, RAW_INTERVAL_S), until)
        if after is not None:
            end = min(max(end, after + _INTERVAL), until)
        groups.setdefault(end, []).append(request)
    known = [*earlier, *due]
    return tuple(
        _build_point(groups[end], known=known, end=end, in_flight=in_flight if end == until else None)
        for end in sorted(groups)
    )


def _build_point(
    requests: Sequence[FinishedRequest], *, known: Sequence[FinishedRequest], end: datetime, in_flight: int | None
) -> DeploymentPoint:
    return DeploymentPoint(
        sampled_at=end,
        interval_s=RAW_INTERVAL_S,
        num_requests=len(requests),
        num_failed=sum(request.outcome is Outcome.FAILED for request in requests),
        num_cancelled=sum(request.outcome is Outcome.CANCELLED for request in requests),
        num_within_slo=sum(request.is_within_slo for request in requests),
        prompt_tokens=sum(request.prompt_tokens for request in requests),
        output_tokens=sum(request.output_tokens for request in requests),
        in_flight=in_flight,
        latencies=compute_latencies(_select_window(known, until=end, window_s=LATENCY_WINDOW_S)),
    )


def _select_window(requests: Iterable[FinishedRequest], *, until: datetime, window_s: float) -> list[FinishedRequest]:
    begin = until - timedelta(seconds=window_s)
    return [request for request in requests if begin < request.finished_at <= until]


def compute_latencies(requests: Iterable[FinishedRequest]) -> Latencies:
    """Return the percentiles of the requests that succeeded."""
    ok = [request for request in requests if request.outcome is Outcome.OK]
    ttft_s = [request.ttft_s for request in ok if request.ttft_s is not None]
    tpot_s = [request.tpot_s for request in ok if request.tpot_s is not None]
    e2e_s = [request.e2e_s for request in ok if request.e2e_s is not None]
    return Latencies(
        ttft_p50_s=compute_percentile(ttft_s, 50),
        ttft_p90_s=compute_percentile(ttft_s, 90),
        tpot_p50_s=compute_percentile(tpot_s, 50),
        tpot_p90_s=compute_percentile(tpot_s, 90),
        e2e_p50_s=compute_percentile(e2e_s, 50),
        e2e_p90_s=compute_percentile(e2e_s, 90),
    )


def compute_percentile(values: Sequence[float], percent: int) -> float | None:
    """Return the smallest value that at least `percent` of the values do not exceed; None without values.

    Nearest rank: a latency that some request really had, and the one an SLO at this percentile speaks of.
    """
    if not values:
        return None
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def compute_rates(requests: Iterable[FinishedRequest], *, until: datetime) -> Rates:
    """Return finished work per second over the last 10 s."""
    recent = _select_window(requests, until=until, window_s=RATE_WINDOW_S)
    return Rates(
        requests_per_s=len(recent) / RATE_WINDOW_S,
        output_tokens_per_s=sum(request.output_tokens for request in recent) / RATE_WINDOW_S,
        prompt_tokens_per_s=sum(request.prompt_tokens for request in recent) / RATE_WINDOW_S,
    )
