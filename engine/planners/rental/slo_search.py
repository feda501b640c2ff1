"""The loosest SLO: how far all bounds would have to give way for a plan to exist.

Source: specification of the rental planner, section 6.6.
"""

from typing import Final

from engine.domain.plan import InfeasibleReason, Objective
from engine.planners.rental.enumeration import ShapeCatalogue, enumerate_configurations
from engine.planners.rental.infeasible import (
    find_smallest_budget,
    list_spot_only_classes,
    list_unservable_classes,
)
from engine.planners.rental.instance import RentalInstance
from engine.planners.rental.instance_builder import build_instance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.reduce import reduce_instance
from engine.planners.rental.request import RentalRequest
from engine.planners.rental.solve import has_spot_cap
from engine.planners.rental.solver import Stopwatch

_PRECISION: Final = 1.01  # the factor is found to 1 %
_LARGEST_FACTOR: Final = 64.0  # beyond, the SLO is not what is in the way


def find_slo_reason(request: RentalRequest, catalogue: ShapeCatalogue, *, watch: Stopwatch) -> InfeasibleReason | None:
    """Return the smallest factor on all SLO bounds that makes the request feasible; None if no factor does."""
    slo = request.slo
    if slo.ttft_s is None and slo.tpot_s is None and slo.e2e_s is None:
        return None
    if not _is_feasible(request, catalogue, _LARGEST_FACTOR, watch):
        return None
    low, high = 1.0, _LARGEST_FACTOR
    while high / low > _PRECISION:
        middle = (low * high) ** 0.5
        if _is_feasible(request, catalogue, middle, watch):
            high = middle
        else:
            low = middle
    text = f"with budget and stock as they are, an SLO {high:.2f} times as loose would be feasible"
    return InfeasibleReason(kind="slo", subject="", value=high, text=text)


def _is_feasible(request: RentalRequest, catalogue: ShapeCatalogue, factor: float, watch: Stopwatch) -> bool:
    found = enumerate_configurations(request, catalogue, slo_slack=factor)
    instance = build_instance(request, found.configurations)
    if list_unservable_classes(instance):
        return False
    options = request.options.to_solve_options()
    obvious = _decide_at_once(instance, options)
    if obvious is not None:
        return obvious
    smallest = find_smallest_budget(instance, options, watch=watch)
    return smallest is not None and smallest <= request.budget_usd_per_hour * (1.0 + 1e-9)


def _decide_at_once(instance: RentalInstance, options: SolveOptions) -> bool | None:
    """Tell whether the request is feasible where no solver is needed: copies that can be had serve all, or not."""
    is_capped = has_spot_cap(instance, options)
    reduced = reduce_instance(instance, has_spot_cap=is_capped).instance
    if list_unservable_classes(reduced) or list_spot_only_classes(reduced, options):
        return False
    wanted = {item.id for item in instance.demanded}
    if instance.objective is Objective.MAX_RATE and any(
        wanted <= {class_id for class_id, speed in item.requests_per_s.items() if speed > 0.0}
        for item in reduced.configurations
        if not (is_capped and item.is_spot)
    ):
        return True
    return None
