"""The best plan that repeats one configuration: closed form, no solver.

With y = min(B / o, a / d) copies, T = sum_w f_w / (y h_cw); `min_cost` needs the fewest y with
sum_w lambda_w / h_cw <= rho y.

Source: specification of the rental planner, sections 6.7 and 11 (check 9).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.domain.plan import Baseline, Objective
from engine.planners.baselines.single_type import RestrictedResult, is_better

_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class UniformCandidate:
    """One configuration used for everything.

    Attributes:
        max_copies: copies that the stock allows.
        copy_s_per_demand: sum_w f_w / h_cw, copies' time for one set of demands [s, or copies]; inf where the
            configuration cannot serve a demanded class.
    """

    id: str
    usd_per_hour: float
    max_copies: int
    copy_s_per_demand: float


def find_best_uniform(
    *,
    name: str,
    objective: Objective,
    candidates: Sequence[UniformCandidate],
    budget_usd_per_hour: float,
    total_demand: float,
    max_load: float,
) -> Baseline:
    """Return the best plan of one repeated configuration.

    Args:
        name: what the baseline is called.
        objective: the question.
        candidates: configurations that may be repeated.
        budget_usd_per_hour: inf leaves it open [USD/h].
        total_demand: requests per set of demands, or requests/s.
        max_load: largest planned load of a copy (`min_cost`).
    """
    best: tuple[UniformCandidate, RestrictedResult] | None = None
    for item in sorted(candidates, key=lambda item: (item.usd_per_hour, item.id)):
        result = _evaluate(objective, item, budget_usd_per_hour, total_demand, max_load)
        if result is not None and (best is None or is_better(objective, result, best[1])):
            best = (item, result)
    if best is None:
        detail = "no single configuration suffices"
        return Baseline(name=name, detail=detail, requests_per_s=0.0, usd_per_hour=0.0, is_feasible=False)
    return Baseline(
        name=name,
        detail=best[0].id,
        requests_per_s=best[1].requests_per_s,
        usd_per_hour=best[1].usd_per_hour,
        is_feasible=True,
    )


def _evaluate(
    objective: Objective, item: UniformCandidate, budget_usd_per_hour: float, total_demand: float, max_load: float
) -> RestrictedResult | None:
    if math.isinf(item.copy_s_per_demand):
        return None
    affordable = _count_affordable(item, budget_usd_per_hour)
    if objective is Objective.MAX_RATE:
        copies = affordable
        requests_per_s = copies * total_demand / item.copy_s_per_demand
    else:
        copies = max(1, math.ceil(item.copy_s_per_demand / max_load * (1.0 - _TOLERANCE)))
        requests_per_s = total_demand
    if not 1 <= copies <= affordable:
        return None
    return RestrictedResult(requests_per_s=requests_per_s, usd_per_hour=copies * item.usd_per_hour)


def _count_affordable(item: UniformCandidate, budget_usd_per_hour: float) -> int:
    if item.usd_per_hour <= 0.0 or math.isinf(budget_usd_per_hour):
        return item.max_copies
    return min(item.max_copies, int(budget_usd_per_hour * (1.0 + _TOLERANCE) / item.usd_per_hour))
