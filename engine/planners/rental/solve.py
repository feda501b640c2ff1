"""Solving an instance: one exact MILP, then one answer from the many that tie.

1. Solve for the objective; keep value, bound and gap.
2. `max_rate`: the cheapest copies that keep the rate, within what the proven gap leaves of 1e-4.
3. The fewest accelerators at that cost.
4. Copies fixed: the linear program of who serves what, for the largest rate (`min_cost`: head-room).

The result is re-computed in plain arithmetic; a mismatch is an error, never a plan.

Source: specification of the rental planner, sections 5 and 7.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from engine.domain.plan import Objective, SolveStatus
from engine.planners.rental.evaluate import (
    CHECK_TOLERANCE,
    PlanMismatchError,
    check_assignment,
    evaluate_rate,
    sum_usd_per_hour,
)
from engine.planners.rental.instance import Assignment, RentalInstance, Solution
from engine.planners.rental.model import RentalModel, Variant, build_model, sum_cost, sum_gpus
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.reduce import reduce_instance
from engine.planners.rental.solver import Outcome, OutcomeKind, Stopwatch, run_model

_TIE_TOLERANCE: Final = 1e-4
_COST_TOLERANCE_USD_PER_HOUR: Final = 1e-9
_GAP_TOLERANCE: Final = 1e-8  # what rounding may add to a gap that the solver has proven
_ZERO_RATE: Final = 1e-9  # of what one perfect copy carries: below the solver's own tolerances
_SMALL_RATE: Final = 0.1  # of the same: solved again in finer units
_MAX_RESCALES: Final = 4
_SHARES_LIMIT_S: Final = 5.0  # the last program is linear and small; it runs even when the time is used up


@dataclass(frozen=True, slots=True, kw_only=True)
class _Incumbent:
    """Copies found so far, with the proof of the first step (unscaled)."""

    copies: Mapping[str, int]
    value: float
    bound: float
    is_optimal: bool
    notes: tuple[str, ...] = ()


def solve_instance(
    instance: RentalInstance, options: SolveOptions, *, clock: Callable[[], float], stopwatch: Stopwatch | None = None
) -> Solution:
    """Return the best assignment of `instance` with its proof; reasons and binding rows come separately.

    Args:
        instance: checked values, any order of configurations.
        options: gap, limit and tie-breaking.
        clock: monotonic seconds.
        stopwatch: shares one limit between several solves; a fresh one with the options' limit if None.
    Raises:
        SolverFailureError: the solver broke down.
        PlanMismatchError: the solver's plan does not hold in plain arithmetic.
    """
    watch = stopwatch or Stopwatch(clock=clock, limit_s=options.time_limit_s)
    started_s = clock()
    reduced = reduce_instance(instance, has_spot_cap=has_spot_cap(instance, options)).instance
    solution = _solve_reduced(reduced, options, watch)
    return replace(solution, runtime_s=clock() - started_s)


def has_spot_cap(instance: RentalInstance, options: SolveOptions) -> bool:
    """Tell whether the cap on spot copies is a row of this instance."""
    return options.spot_max_share < 1.0 and any(item.is_spot for item in instance.configurations)


def _solve_reduced(instance: RentalInstance, options: SolveOptions, watch: Stopwatch) -> Solution:
    if watch.left_s <= 0.0:
        status = SolveStatus.NO_SOLUTION
        return Solution(status=status, assignment=None, notes=_note_limit(status, options))
    if not instance.configurations:
        return Solution(status=SolveStatus.INFEASIBLE, assignment=None)
    variant, rental, outcome = _run_question(instance, options, watch)
    status = _to_status(rental, outcome)
    if status not in (SolveStatus.OPTIMAL, SolveStatus.FEASIBLE):
        return Solution(status=status, assignment=None, notes=_note_limit(status, options))
    incumbent = _to_incumbent(rental, outcome)
    if options.tie_break:
        incumbent = _break_ties(instance, options, variant, incumbent, watch)
    return _finish(instance, options, incumbent, status)


def _run_question(
    instance: RentalInstance, options: SolveOptions, watch: Stopwatch
) -> tuple[Variant, RentalModel, Outcome]:
    """Return the model, its variant and what the solver found.

    Under `max_rate` the relaxation comes first: its bound on r gives row (7), which makes copies whole where a small
    part of one would do. A rate far below that bound drowns in the solver's absolute tolerances; the bound proven
    for whole copies then takes its place.
    """
    variant = define_variant(instance, options)
    if instance.objective is not Objective.MAX_RATE:
        return (variant, *_run_variant(instance, options, variant, watch))
    rental, outcome = _run_variant(instance, options, replace(variant, is_integer=False), watch)
    for _ in range(_MAX_RESCALES):
        if not outcome.has_plan or outcome.objective <= _ZERO_RATE:
            break
        variant = replace(variant, max_rate=outcome.bound * rental.rate_scale * (1.0 + CHECK_TOLERANCE))
        rental, outcome = _run_variant(instance, options, variant, watch)
        if outcome.objective >= _SMALL_RATE or watch.left_s <= 0.0:
            break
    return variant, rental, outcome


def _run_variant(
    instance: RentalInstance, options: SolveOptions, variant: Variant, watch: Stopwatch
) -> tuple[RentalModel, Outcome]:
    rental = build_model(instance, options, variant)
    _set_objective(rental)
    return rental, run_model(rental, options, time_limit_s=watch.left_s)


def _note_limit(status: SolveStatus, options: SolveOptions) -> tuple[str, ...]:
    if status is not SolveStatus.NO_SOLUTION:
        return ()
    return (f"no plan was found within the time limit of {options.time_limit_s:g} s",)


def define_variant(instance: RentalInstance, options: SolveOptions) -> Variant:
    """Return the model variant of the instance's own question."""
    if instance.objective is Objective.MAX_RATE:
        return Variant(max_usd_per_hour=instance.budget_usd_per_hour)
    return Variant(min_rate=1.0, max_rate=1.0, max_load=options.max_load, max_usd_per_hour=instance.budget_usd_per_hour)


def _set_objective(rental: RentalModel) -> None:
    if rental.instance.objective is Objective.MAX_RATE:
        rental.model.maximize(rental.rate)
    else:
        rental.model.minimize(sum_cost(rental))


def _to_status(rental: RentalModel, outcome: Outcome) -> SolveStatus:
    if outcome.kind is OutcomeKind.INFEASIBLE:
        return SolveStatus.INFEASIBLE
    if outcome.kind is OutcomeKind.LIMIT_WITHOUT_PLAN:
        return SolveStatus.NO_SOLUTION
    is_optimal = outcome.kind is OutcomeKind.OPTIMAL
    serves_nothing = rental.instance.objective is Objective.MAX_RATE and outcome.objective <= _ZERO_RATE
    if serves_nothing:
        return SolveStatus.INFEASIBLE if is_optimal else SolveStatus.NO_SOLUTION
    return SolveStatus.OPTIMAL if is_optimal else SolveStatus.FEASIBLE


def _to_incumbent(rental: RentalModel, outcome: Outcome) -> _Incumbent:
    scale = rental.rate_scale if rental.instance.objective is Objective.MAX_RATE else 1.0
    return _Incumbent(
        copies=round_copies(outcome.copies),
        value=outcome.objective * scale,
        bound=outcome.bound * scale,
        is_optimal=outcome.kind is OutcomeKind.OPTIMAL,
    )


def round_copies(copies: Mapping[str, float]) -> dict[str, int]:
    """Return whole copies, those rented only."""
    whole = {key: round(value) for key, value in copies.items()}
    return {key: value for key, value in whole.items() if value > 0}


def _break_ties(
    instance: RentalInstance, options: SolveOptions, variant: Variant, incumbent: _Incumbent, watch: Stopwatch
) -> _Incumbent:
    if instance.objective is Objective.MAX_RATE:
        proven = abs(incumbent.bound - incumbent.value) / incumbent.value
        # What the proof leaves: the tie-break must not make an optimal plan a merely feasible one.
        slack = min(_TIE_TOLERANCE, max(0.0, options.mip_gap - proven)) if incumbent.is_optimal else _TIE_TOLERANCE
        variant = replace(variant, min_rate=incumbent.value / (1.0 + slack) * (1.0 - 1e-9))
        incumbent = _improve(instance, options, variant, incumbent, watch, of_gpus=False)
    cost = sum_usd_per_hour(instance, incumbent.copies)
    variant = replace(variant, max_usd_per_hour=cost + _COST_TOLERANCE_USD_PER_HOUR)
    return _improve(instance, options, variant, incumbent, watch, of_gpus=True)


def _improve(
    instance: RentalInstance,
    options: SolveOptions,
    variant: Variant,
    incumbent: _Incumbent,
    watch: Stopwatch,
    *,
    of_gpus: bool,
) -> _Incumbent:
    """Return the incumbent with fewer accelerators or dollars, or as it was when the time runs out."""
    rental = build_model(instance, options, variant)
    rental.model.minimize(sum_gpus(rental) if of_gpus else sum_cost(rental))
    outcome = run_model(rental, options, time_limit_s=watch.left_s)
    aim = "accelerators" if of_gpus else "cost"
    if outcome.kind is OutcomeKind.OPTIMAL:
        return replace(incumbent, copies=round_copies(outcome.copies))
    note = f"tie-breaking by {aim} stopped early; the earlier plan is kept"
    return replace(incumbent, notes=(*incumbent.notes, note))


def _finish(instance: RentalInstance, options: SolveOptions, incumbent: _Incumbent, status: SolveStatus) -> Solution:
    assignment = assign_classes(instance, options, incumbent.copies)
    check_assignment(instance, assignment, spot_max_share=options.spot_max_share)
    is_rate = instance.objective is Objective.MAX_RATE
    value = assignment.rate if is_rate else assignment.usd_per_hour
    bound = max(incumbent.bound, value) if is_rate else min(incumbent.bound, value)
    if not is_rate and assignment.rate * options.max_load < 1.0 - CHECK_TOLERANCE:
        raise PlanMismatchError("the copies do not carry the demand", rate=assignment.rate)
    if is_rate and value < incumbent.value * (1.0 - _TIE_TOLERANCE - CHECK_TOLERANCE):
        raise PlanMismatchError("the plan misses the solver's rate", rate=value, expected=incumbent.value)
    gap = abs(bound - value) / value if value > 0.0 else 0.0
    if status is SolveStatus.OPTIMAL and gap > options.mip_gap + _GAP_TOLERANCE:
        status = SolveStatus.FEASIBLE
    return Solution(
        status=status,
        assignment=assignment,
        objective=value,
        best_bound=bound,
        gap=gap,
        notes=incumbent.notes,
    )


def assign_classes(instance: RentalInstance, options: SolveOptions, copies: Mapping[str, int]) -> Assignment:
    """Return who serves what on given copies so that the rate (or the head-room) is largest.

    Raises:
        PlanMismatchError: the copies cannot serve every class, or arithmetic contradicts the solver.
    """
    chosen = instance.with_configurations(copies)
    rental = build_model(chosen, options, Variant(is_integer=False, fixed_copies=copies))
    rental.model.maximize(rental.rate)
    outcome = run_model(rental, options, time_limit_s=_SHARES_LIMIT_S)
    if outcome.kind is not OutcomeKind.OPTIMAL or outcome.objective <= 0.0:
        raise PlanMismatchError("the copies do not serve every class", copies=dict(copies))
    shares = _to_shares(chosen, outcome)
    rate = evaluate_rate(chosen, copies, shares)
    if abs(rate - outcome.rate) > CHECK_TOLERANCE * rate:
        raise PlanMismatchError("the rate differs when computed again", rate=rate, expected=outcome.rate)
    return Assignment(copies=copies, shares=shares, rate=rate, usd_per_hour=sum_usd_per_hour(chosen, copies))


def _to_shares(instance: RentalInstance, outcome: Outcome) -> dict[str, dict[str, float]]:
    """Return x_cw, each class scaled to sum to one."""
    speeds = {item.id: item.requests_per_s for item in instance.configurations}
    served = {key: time * speeds[key[0]][key[1]] for key, time in outcome.time.items()}
    totals: dict[str, float] = {}
    for (_, class_id), requests_per_s in served.items():
        totals[class_id] = totals.get(class_id, 0.0) + requests_per_s
    shares: dict[str, dict[str, float]] = {}
    for (configuration_id, class_id), requests_per_s in served.items():
        if requests_per_s > 1e-9 * totals[class_id]:
            shares.setdefault(configuration_id, {})[class_id] = requests_per_s
    for class_id in totals:
        kept = sum(part.get(class_id, 0.0) for part in shares.values())
        for part in shares.values():
            if class_id in part:
                part[class_id] /= kept
    return shares
