"""SLOs, and the one definition of the latency words.

- TTFT: time from arrival at the gateway to the first output token.
- TPOT: (E2E - TTFT) / (output tokens - 1); the first token is not in it; undefined for one output token.
- ITL: gap between two consecutive tokens.
- E2E: arrival to last token.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """Bounds at a percentile; None leaves a quantity unbounded.

    Attributes:
        ttft_s: bound on time to first token [s].
        tpot_s: bound on time per output token [s].
        e2e_s: bound on end-to-end latency [s].
        percentile: percentile at which the bounds hold, 50..100; also the share of requests that must meet them.
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    percentile: float = 90.0


def compute_tpot_s(*, ttft_s: float, e2e_s: float, output_tokens: int) -> float | None:
    """Return time per output token after the first [s]; None when there is no second token."""
    if output_tokens < 2:
        return None
    return (e2e_s - ttft_s) / (output_tokens - 1)


def is_met(slo: Slo, *, ttft_s: float, tpot_s: float | None, e2e_s: float) -> bool:
    """Tell whether one request meets every bound of `slo`."""
    return (
        (slo.ttft_s is None or ttft_s <= slo.ttft_s)
        and (slo.tpot_s is None or tpot_s is None or tpot_s <= slo.tpot_s)
        and (slo.e2e_s is None or e2e_s <= slo.e2e_s)
    )
