"""The best plan that rents one accelerator type only: what people do without a planner.

The planner itself bounds and solves the restricted instances; this module only restricts and compares. Types whose
optimistic bound cannot beat what was found are not solved at all.

Source: specification of the rental planner, section 6.7.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.domain.plan import Baseline, Objective

_BOUND_TOLERANCE: Final = 1e-9  # relative; of a linear program


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
    bound_subset: Callable[[frozenset[str]], float | None],
    solve_subset: Callable[[frozenset[str]], RestrictedResult | None],
) -> Baseline:
    """Return the best single-type plan.

    Args:
        name: what the baseline is called.
        objective: what makes one plan better than another.
        configurations_by_type: accelerator name -> ids of the configurations made of it alone.
        bound_subset: what the instance restricted to these configurations cannot surpass, from its relaxation
            [requests/s, or USD/h under `min_cost`]; None when even that is infeasible.
        solve_subset: solves the instance restricted to these configurations; None when that is infeasible.
    """
    best: tuple[str, RestrictedResult] | None = None
    for bound, gpu_name in _rank_types(objective, configurations_by_type, bound_subset):
        if best is not None and not _can_beat(objective, bound, best[1]):
            break
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


def _rank_types(
    objective: Objective,
    configurations_by_type: Mapping[str, frozenset[str]],
    bound_subset: Callable[[frozenset[str]], float | None],
) -> list[tuple[float, str]]:
    """Return bound and name of the types that may be feasible, the most promising first."""
    sign = -1.0 if objective is Objective.MAX_RATE else 1.0
    bounds = {name: bound_subset(members) for name, members in configurations_by_type.items()}
    ranked = [(bound, name) for name, bound in bounds.items() if bound is not None]
    return sorted(ranked, key=lambda item: (sign * item[0], item[1]))


def _can_beat(objective: Objective, bound: float, best: RestrictedResult) -> bool:
    """Tell whether a bound leaves room for a better result, or for an equal one at less cost."""
    if objective is Objective.MAX_RATE:
        return bound >= best.requests_per_s * (1.0 - _BOUND_TOLERANCE)
    return bound < best.usd_per_hour * (1.0 - _BOUND_TOLERANCE)


def is_better(objective: Objective, result: RestrictedResult, other: RestrictedResult) -> bool:
    """Tell whether `result` answers the question better: more requests, or fewer dollars; ties go to the other."""
    if objective is Objective.MAX_RATE:
        return (result.requests_per_s, -result.usd_per_hour) > (other.requests_per_s, -other.usd_per_hour)
    return result.usd_per_hour < other.usd_per_hour
