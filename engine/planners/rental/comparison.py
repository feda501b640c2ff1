"""What simpler plans would achieve: one accelerator type, one configuration, or the same machines unplanned."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from engine.domain.plan import Baseline, Objective
from engine.planners.baselines.single_type import RestrictedResult, find_best_single_type
from engine.planners.baselines.uniform import UniformCandidate, find_best_uniform
from engine.planners.rental.evaluate import (
    CHECK_TOLERANCE,
    evaluate_rate,
    find_largest_spot_share,
    spread_by_speed,
    spread_round_robin,
)
from engine.planners.rental.instance import Assignment, InstanceConfiguration, RentalInstance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.prices import price_rows
from engine.planners.rental.reduce import reduce_instance
from engine.planners.rental.solve import has_spot_cap, solve_instance
from engine.planners.rental.solver import Stopwatch

SINGLE_TYPE: Final = "best single GPU type"
SINGLE_TYPE_UNLIMITED: Final = "best single GPU type, unlimited stock"
UNIFORM: Final = "best single configuration"
UNIFORM_UNLIMITED: Final = "best single configuration, unlimited stock"
SPREAD_BY_SPEED: Final = "same machines, requests spread by speed"
ROUND_ROBIN: Final = "same machines, round robin"
_UNLIMITED_UNITS: Final = 10**6
_BREAKS_CAP: Final = "puts more on spot machines than allowed"
_STOPPED: Final = "stopped by the time limit"


def list_baselines(
    instance: RentalInstance,
    options: SolveOptions,
    assignment: Assignment | None,
    pool_types: Mapping[str, str],
    *,
    clock: Callable[[], float],
    watch: Stopwatch,
) -> tuple[Baseline, ...]:
    """Return the baselines of an instance, all under its budget; the last two need a plan.

    Args:
        instance: the instance before reduction.
        options: as for the plan; ties do not matter here.
        assignment: the plan, if there is one.
        pool_types: pool id -> accelerator name.
        clock: monotonic seconds.
        watch: time for the comparison.
    """
    unlimited = replace(instance, availability=dict.fromkeys(instance.availability, _UNLIMITED_UNITS))
    found = [
        _compare_single_type(SINGLE_TYPE, instance, options, pool_types, clock=clock, watch=watch),
        _compare_single_type(SINGLE_TYPE_UNLIMITED, unlimited, options, pool_types, clock=clock, watch=watch),
    ]
    if len({item.model_id for item in instance.demanded}) == 1:
        found.append(_compare_uniform(UNIFORM, instance, options))
        found.append(_compare_uniform(UNIFORM_UNLIMITED, unlimited, options))
        if assignment is not None:
            found.append(_compare_shares(SPREAD_BY_SPEED, instance, options, assignment, spread_by_speed))
            found.append(_compare_shares(ROUND_ROBIN, instance, options, assignment, spread_round_robin))
    return tuple(found)


def _compare_single_type(
    name: str,
    instance: RentalInstance,
    options: SolveOptions,
    pool_types: Mapping[str, str],
    *,
    clock: Callable[[], float],
    watch: Stopwatch,
) -> Baseline:
    quick = replace(options, tie_break=False)

    def bound_subset(keep: frozenset[str]) -> float | None:
        return _bound_subset(instance.with_configurations(keep), quick, watch)

    def solve_subset(keep: frozenset[str]) -> RestrictedResult | None:
        solution = solve_instance(instance.with_configurations(keep), quick, clock=clock, stopwatch=watch)
        if solution.assignment is None:
            return None
        is_rate = instance.objective is Objective.MAX_RATE
        sets_per_s = solution.assignment.rate if is_rate else 1.0
        return RestrictedResult(
            requests_per_s=sets_per_s * instance.total_demand, usd_per_hour=solution.assignment.usd_per_hour
        )

    baseline = find_best_single_type(
        name=name,
        objective=instance.objective,
        configurations_by_type=group_by_type(instance, pool_types),
        bound_subset=bound_subset,
        solve_subset=solve_subset,
    )
    if watch.left_s > 0.0:
        return baseline
    return replace(baseline, detail=f"{baseline.detail} ({_STOPPED})" if baseline.is_feasible else _STOPPED)


def _bound_subset(instance: RentalInstance, options: SolveOptions, watch: Stopwatch) -> float | None:
    """Return the most requests/s, or the least USD/h, of the relaxation."""
    reduced = reduce_instance(instance, has_spot_cap=has_spot_cap(instance, options)).instance
    prices = price_rows(reduced, options, time_limit_s=watch.left_s)
    if prices is None:
        return None
    return prices.bound * (instance.total_demand if instance.objective is Objective.MAX_RATE else 1.0)


def group_by_type(instance: RentalInstance, pool_types: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return accelerator name -> ids of the configurations made of it alone."""
    groups: dict[str, set[str]] = {}
    for item in instance.configurations:
        names = {pool_types[pool_id] for pool_id in item.units}
        if len(names) == 1:
            groups.setdefault(names.pop(), set()).add(item.id)
    return {name: frozenset(members) for name, members in groups.items()}


def _compare_uniform(name: str, instance: RentalInstance, options: SolveOptions) -> Baseline:
    budget = instance.budget_usd_per_hour
    is_barred = options.spot_max_share < 1.0  # all requests on one spot configuration would break the cap
    return find_best_uniform(
        name=name,
        objective=instance.objective,
        candidates=[_to_candidate(instance, c) for c in instance.configurations if not (is_barred and c.is_spot)],
        budget_usd_per_hour=math.inf if budget is None else budget,
        total_demand=instance.total_demand,
        max_load=options.max_load,
    )


def _to_candidate(instance: RentalInstance, item: InstanceConfiguration) -> UniformCandidate:
    stock = min(instance.availability[pool] // count for pool, count in item.units.items())
    copy_s = 0.0
    for demanded in instance.demanded:
        speed = item.requests_per_s.get(demanded.id, 0.0)
        copy_s += demanded.demand / speed if speed > 0.0 else math.inf
    return UniformCandidate(
        id=item.id,
        usd_per_hour=item.usd_per_hour,
        max_copies=stock if item.max_copies is None else min(stock, item.max_copies),
        copy_s_per_demand=copy_s,
    )


def _compare_shares(
    name: str,
    instance: RentalInstance,
    options: SolveOptions,
    assignment: Assignment,
    spread: Callable[[RentalInstance, Mapping[str, int]], dict[str, dict[str, float]]],
) -> Baseline:
    """Return what the plan's machines carry under simpler shares (`min_cost`: at most the demand)."""
    is_rate = instance.objective is Objective.MAX_RATE
    shares = spread(instance, assignment.copies)
    sets_per_s = evaluate_rate(instance, assignment.copies, shares, max_load=1.0 if is_rate else options.max_load)
    carries_all = sets_per_s >= 1.0 - CHECK_TOLERANCE
    sets_per_s = 1.0 if carries_all and not is_rate else sets_per_s
    keeps_cap = find_largest_spot_share(instance, shares) <= options.spot_max_share + CHECK_TOLERANCE
    return Baseline(
        name=name,
        detail="the plan's machines" if keeps_cap else f"the plan's machines; {_BREAKS_CAP}",
        requests_per_s=sets_per_s * instance.total_demand,
        usd_per_hour=assignment.usd_per_hour,
        is_feasible=keeps_cap and (sets_per_s > 0.0 if is_rate else carries_all),
    )
