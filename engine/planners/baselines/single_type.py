"""The best plan that rents one accelerator type only: what people do without a planner.

The planner itself solves the restricted instances; this module only restricts and compares.

Source: specification of the rental planner, section 6.7.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.domain.plan import Baseline, Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedResult:
    """What a restricted instance achieves."""

    requests_per_s: float
    usd_per_hour: float


def find_best_single_type(
    *,
    name: str,
    objective: Objective,
    configurations_by_type: Mapping[str, frozenset[str]],
    solve_subset: Callable[[frozenset[str]], RestrictedResult | None],
) -> Baseline:
    """Return the best single-type plan.

    Args:
        name: what the baseline is called.
        objective: what makes one plan better than another.
        configurations_by_type: accelerator name -> ids of the configurations made of it alone.
        solve_subset: solves the instance restricted to these configurations; None when that is infeasible.
    """
    best: tuple[str, RestrictedResult] | None = None
    for gpu_name in sorted(configurations_by_type):
        result = solve_subset(configurations_by_type[gpu_name])
        if result is not None and (best is None or is_better(objective, result, best[1])):
            best = (gpu_name, result)
    if best is None:
        return Baseline(
            name=name, detail="no single type suffices", requests_per_s=0.0, usd_per_hour=0.0, is_feasible=False
        )
    return Baseline(
        name=name,
        detail=best[0],
        requests_per_s=best[1].requests_per_s,
        usd_per_hour=best[1].usd_per_hour,
        is_feasible=True,
    )


def is_better(objective: Objective, result: RestrictedResult, other: RestrictedResult) -> bool:
    """Tell whether `result` answers the question better: more requests, or fewer dollars; ties go to the other."""
    if objective is Objective.MAX_RATE:
        return (result.requests_per_s, -result.usd_per_hour) > (other.requests_per_s, -other.usd_per_hour)
    return result.usd_per_hour < other.usd_per_hour
