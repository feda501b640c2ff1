"""The largest operating point of a replica that meets the SLO, for one request class served alone.

With b requests in service, p = prefill time, t(b) = decode step at batch b and context n_in + n_out / 2:

    X(b)    = b / ((n_out - 1) t(b) + b p)                requests/s
    TPOT(b) = t(b) + b p / (n_out - 1)                    s, mean: every prefill delays the others
    TTFT(b) = p + t(b) / 2 + q p / (2 (1 - q)), q = X p   s, mean
    E2E(b)  = TTFT + (n_out - 1) TPOT

All three latencies rise with b, so that bisection finds the largest b; a pipeline that splits b unevenly makes ripples
of a few percent, and then the point found keeps the bounds but may not be the very largest.

A class with one output token has no decode: its load q is bounded instead, because X(b) p would be 1 and its queue
endless.

Source: specification of the rental planner, section 3.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol

from engine.domain.slo import Slo
from engine.domain.workload import RequestClass

_MAX_PREFILL_LOAD: Final = 0.95  # of a replica that only prefills; not published, we choose
_LOG_TAIL_AT_P90: Final = math.log(0.1)
_LARGEST_PERCENTILE: Final = 99.9  # a bound for all requests is planned at this percentile; we choose


class ReplicaTimes(Protocol):
    """What the cost model tells of one replica."""

    @property
    def kv_tokens(self) -> int:
        """KV cache capacity [tokens]."""
        ...

    def estimate_prefill_s(self, prompt_tokens: int, num_prompts: int = 1) -> float:
        """Return the time until the last of the prompts has its first token [s]."""
        ...

    def estimate_decode_step_s(self, batch: int, context_tokens: float) -> float:
        """Return the time in which all `batch` sequences advance one token [s]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyLimits:
    """Bounds on mean latencies [s]; inf leaves one open."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf
    e2e_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileRatios:
    """A latency at the SLO's percentile over its mean."""

    ttft: float
    tpot: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A replica with `batch` requests in service: throughput [requests/s] and mean latencies [s]."""

    batch: int
    requests_per_s: float
    ttft_s: float
    tpot_s: float
    e2e_s: float


def define_ratios(*, percentile: float, ttft_ratio: float, tpot_ratio: float) -> PercentileRatios:
    """Return ratios at `percentile` from those at the 90th.

    What exceeds the mean is scaled by an exponential tail, ln(1 - P) / ln(0.1) (not published; we choose).
    """
    tail = math.log(1.0 - min(percentile, _LARGEST_PERCENTILE) / 100.0) / _LOG_TAIL_AT_P90
    return PercentileRatios(ttft=1.0 + (ttft_ratio - 1.0) * tail, tpot=1.0 + (tpot_ratio - 1.0) * tail)


def slo_to_limits(slo: Slo, ratios: PercentileRatios, *, slack: float = 1.0) -> LatencyLimits:
    """Return what the means must stay below so that the SLO, loosened by the factor `slack`, holds."""
    return LatencyLimits(
        ttft_s=math.inf if slo.ttft_s is None else slo.ttft_s * slack / ratios.ttft,
        tpot_s=math.inf if slo.tpot_s is None else slo.tpot_s * slack / ratios.tpot,
        e2e_s=math.inf if slo.e2e_s is None else slo.e2e_s * slack / ratios.tpot,
    )


def estimate_point(times: ReplicaTimes, request_class: RequestClass, batch: int) -> OperatingPoint:
    """Return throughput and mean latencies with `batch` requests of the class in service."""
    prefill_s = times.estimate_prefill_s(request_class.prompt_tokens)
    return _estimate_point(times, request_class, batch, prefill_s)


def _estimate_point(times: ReplicaTimes, request_class: RequestClass, batch: int, prefill_s: float) -> OperatingPoint:
    later_tokens = request_class.output_tokens - 1
    if later_tokens == 0:
        return _estimate_prefill_only(prefill_s, _MAX_PREFILL_LOAD)
    step_s = times.estimate_decode_step_s(batch, request_class.prompt_tokens + request_class.output_tokens / 2)
    requests_per_s = batch / (later_tokens * step_s + batch * prefill_s)
    load = requests_per_s * prefill_s
    tpot_s = step_s + batch * prefill_s / later_tokens
    ttft_s = prefill_s + step_s / 2 + load * prefill_s / (2.0 * (1.0 - load))
    return OperatingPoint(
        batch=batch,
        requests_per_s=requests_per_s,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        e2e_s=ttft_s + later_tokens * tpot_s,
    )


def _estimate_prefill_only(prefill_s: float, load: float) -> OperatingPoint:
    ttft_s = prefill_s + load * prefill_s / (2.0 * (1.0 - load))
    return OperatingPoint(batch=1, requests_per_s=load / prefill_s, ttft_s=ttft_s, tpot_s=0.0, e2e_s=ttft_s)


def find_operating_point(
    times: ReplicaTimes, request_class: RequestClass, limits: LatencyLimits, *, max_num_seqs: int
) -> OperatingPoint | None:
    """Return the point with the most requests in service that keeps `limits`; None if not even one fits."""
    longest_tokens = request_class.prompt_tokens + request_class.output_tokens
    most = min(times.kv_tokens // longest_tokens, max_num_seqs)
    if most < 1:
        return None
    prefill_s = times.estimate_prefill_s(request_class.prompt_tokens)
    if request_class.output_tokens == 1:
        return _find_prefill_only(prefill_s, limits)

    def estimate(batch: int) -> OperatingPoint:
        return _estimate_point(times, request_class, batch, prefill_s)

    best = estimate(most)
    if _keeps(best, limits):
        return best
    found: OperatingPoint | None = None
    low, high = 0, most  # `low` keeps the limits (or is 0), `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        point = estimate(middle)
        if _keeps(point, limits):
            low, found = middle, point
        else:
            high = middle
    return found


def _keeps(point: OperatingPoint, limits: LatencyLimits) -> bool:
    return point.tpot_s <= limits.tpot_s and point.ttft_s <= limits.ttft_s and point.e2e_s <= limits.e2e_s


def _find_prefill_only(prefill_s: float, limits: LatencyLimits) -> OperatingPoint | None:
    """Return the point whose queueing time uses up the bound: 2 W / p = q / (1 - q)."""
    bound_s = min(limits.ttft_s, limits.e2e_s)
    if bound_s <= prefill_s:
        return None
    ratio = 2.0 * (bound_s - prefill_s) / prefill_s
    load = _MAX_PREFILL_LOAD if math.isinf(ratio) else min(_MAX_PREFILL_LOAD, ratio / (1.0 + ratio))
    return _estimate_prefill_only(prefill_s, load)


def find_point_at_load(
    times: ReplicaTimes, request_class: RequestClass, *, max_batch: int, load: float
) -> OperatingPoint:
    """Return the smallest point that carries the part `load` (0..1) of what `max_batch` carries."""
    prefill_s = times.estimate_prefill_s(request_class.prompt_tokens)
    full = _estimate_point(times, request_class, max_batch, prefill_s)
    if request_class.output_tokens == 1:
        return _estimate_prefill_only(prefill_s, _MAX_PREFILL_LOAD * load)
    wanted = load * full.requests_per_s * (1.0 - 1e-9)
    low, high, found = 0, max_batch, full
    while high - low > 1:
        middle = (low + high) // 2
        point = _estimate_point(times, request_class, middle, prefill_s)
        if point.requests_per_s >= wanted:
            high, found = middle, point
        else:
            low = middle
    return found
