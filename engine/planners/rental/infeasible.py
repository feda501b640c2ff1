"""Why nothing feasible exists, and what would make it so, each with its number.

- class: no configuration serves it at all, or only spot copies do, which may not carry all of it;
- budget: the smallest that suffices with today's stock;
- stock: the fewest missing units, then the cheapest way to use them;
- demand_share: the largest part of the demand that stock and budget carry (`min_cost`).

The loosest SLO needs configurations to be made again: see `slo_search`.

Source: specification of the rental planner, section 6.6.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from ortools.math_opt.python import mathopt

from engine.domain.plan import InfeasibleReason, Objective
from engine.planners.rental.instance import InstanceClass, InstanceConfiguration, RentalInstance
from engine.planners.rental.model import RentalModel, Variant, build_model, sum_cost
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.reduce import reduce_instance
from engine.planners.rental.solve import define_variant, has_spot_cap
from engine.planners.rental.solver import Outcome, OutcomeKind, Stopwatch, run_model

_UNLIMITED: Final = 10**9
_LEAST_RATE: Final = 1e-3  # of the demand: a copy bought for a class is there for all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingStock:
    """Units that are missing, and the cost of the plan that would use them."""

    units: dict[str, int]
    usd_per_hour: float


def list_infeasible_reasons(
    instance: RentalInstance, options: SolveOptions, *, watch: Stopwatch
) -> tuple[InfeasibleReason, ...]:
    """Return all reasons that apply to an instance without a plan, apart from the SLO."""
    unserved = list_unservable_classes(instance)
    spot_only = list_spot_only_classes(instance, options)
    if unserved or spot_only:
        return (
            *(_to_class_reason(class_id) for class_id in unserved),
            *_list_spot_reasons(instance, options, spot_only),
        )
    reasons: list[InfeasibleReason] = []
    smallest = find_smallest_budget(instance, options, watch=watch)
    if smallest is None:
        reasons.extend(_list_stock_reasons(instance, options, watch))
    elif instance.budget_usd_per_hour is not None and smallest > instance.budget_usd_per_hour:
        cents = math.ceil(100.0 * smallest - 1e-6)  # a budget rounded down would not suffice
        text = f"the smallest budget that suffices is {cents / 100:.2f} USD/h"
        reasons.append(InfeasibleReason(kind="budget", subject="", value=smallest, text=text))
    share = find_largest_share(instance, options, watch=watch)
    if share is not None and share < 1.0:
        text = f"budget and stock carry {100.0 * share:.1f} % of the demand"
        reasons.append(InfeasibleReason(kind="demand_share", subject="", value=share, text=text))
    return tuple(reasons)


def list_unservable_classes(instance: RentalInstance) -> tuple[str, ...]:
    """Return demanded classes that no configuration serves, whatever stock and budget."""
    return tuple(item.id for item in instance.demanded if not _list_serving(instance, item))


def list_spot_only_classes(instance: RentalInstance, options: SolveOptions) -> tuple[str, ...]:
    """Return demanded classes that only spot copies serve although the cap keeps a part from them."""
    if not has_spot_cap(instance, options):
        return ()
    serving = {item.id: _list_serving(instance, item) for item in instance.demanded}
    return tuple(class_id for class_id, items in serving.items() if items and all(item.is_spot for item in items))


def _list_serving(instance: RentalInstance, demanded: InstanceClass) -> list[InstanceConfiguration]:
    return [
        item
        for item in instance.configurations
        if item.model_id == demanded.model_id and item.requests_per_s.get(demanded.id, 0.0) > 0.0
    ]


def _list_spot_reasons(
    instance: RentalInstance, options: SolveOptions, class_ids: tuple[str, ...]
) -> list[InfeasibleReason]:
    share = options.spot_max_share
    if len(class_ids) == len(instance.demanded):
        text = f"only spot machines can serve this, and they may carry at most {100.0 * share:g} % of every class"
        return [InfeasibleReason(kind="class", subject="", value=share, text=text)]
    return [
        InfeasibleReason(
            kind="class",
            subject=class_id,
            value=share,
            text=f"only spot machines serve class {class_id}, and they may carry at most {100.0 * share:g} % of it",
        )
        for class_id in class_ids
    ]


def _to_class_reason(class_id: str) -> InfeasibleReason:
    text = f"no configuration can serve class {class_id}"
    return InfeasibleReason(kind="class", subject=class_id, value=0.0, text=text)


def find_smallest_budget(instance: RentalInstance, options: SolveOptions, *, watch: Stopwatch) -> float | None:
    """Return the least cost at which the question has an answer with today's stock [USD/h]; None if none has.

    `max_rate`: every demanded class has a bought copy that serves it. `min_cost`: the whole demand is carried.
    """
    rental = _build_open(instance.with_budget(None), options, has_elastic_stock=False)
    if rental is None:
        return None
    rental.model.minimize(sum_cost(rental))
    outcome = run_model(rental, options, time_limit_s=watch.left_s)
    return outcome.objective if outcome.kind is OutcomeKind.OPTIMAL else None


def find_missing_stock(instance: RentalInstance, options: SolveOptions, *, watch: Stopwatch) -> MissingStock | None:
    """Return the fewest units that are missing, used as cheaply as possible; None when the time runs out."""
    first = _run_elastic(instance, options, watch, max_missing_units=None)
    if first is None:
        return None
    fewest = sum(round(value) for value in first.missing.values())
    best = _run_elastic(instance, options, watch, max_missing_units=fewest + 0.5) or first
    units = {pool: round(value) for pool, value in best.missing.items() if round(value) > 0}
    prices = {item.id: item.usd_per_hour for item in instance.configurations}
    cost = sum(prices[key] * round(value) for key, value in best.copies.items())
    return MissingStock(units=units, usd_per_hour=cost)


def _run_elastic(
    instance: RentalInstance, options: SolveOptions, watch: Stopwatch, *, max_missing_units: float | None
) -> Outcome | None:
    rental = _build_open(
        instance.with_budget(None), options, has_elastic_stock=True, max_missing_units=max_missing_units
    )
    if rental is None:
        return None
    if max_missing_units is None:
        rental.model.minimize(mathopt.LinearSum(rental.missing.values()))
    else:
        rental.model.minimize(sum_cost(rental))
    outcome = run_model(rental, options, time_limit_s=watch.left_s)
    return outcome if outcome.kind is OutcomeKind.OPTIMAL else None


def _build_open(
    instance: RentalInstance,
    options: SolveOptions,
    *,
    has_elastic_stock: bool,
    max_missing_units: float | None = None,
) -> RentalModel | None:
    """Return the model without a budget; for `max_rate` any rate above zero will do."""
    stock = dict.fromkeys(instance.availability, _UNLIMITED) if has_elastic_stock else instance.availability
    wide = replace(instance, availability=stock)
    kept = reduce_instance(wide, has_spot_cap=has_spot_cap(instance, options)).instance.configurations
    if not kept:
        return None
    smaller = replace(instance, configurations=kept)
    is_rate = instance.objective is Objective.MAX_RATE
    variant = _define_any_rate(smaller) if is_rate else define_variant(instance, options)
    variant = replace(variant, has_elastic_stock=has_elastic_stock, max_missing_units=max_missing_units)
    return build_model(smaller, options, variant)


def _define_any_rate(instance: RentalInstance) -> Variant:
    """Return a rate so small that one copy per class carries it: row (7) then says `a copy is bought`."""
    slowest = min(
        speed
        for item in instance.configurations
        for class_id, speed in item.requests_per_s.items()
        if speed > 0.0 and any(w.id == class_id for w in instance.demanded)
    )
    rate = _LEAST_RATE * slowest / instance.total_demand
    return Variant(min_rate=rate, max_rate=rate)


def _list_stock_reasons(instance: RentalInstance, options: SolveOptions, watch: Stopwatch) -> list[InfeasibleReason]:
    missing = find_missing_stock(instance, options, watch=watch)
    if missing is None:
        return []
    reasons = []
    for pool_id, units in missing.units.items():
        others = ", with the other missing machines," if len(missing.units) > 1 else ""
        text = f"{units} more of {pool_id}{others} would make it feasible, at {missing.usd_per_hour:.2f} USD/h in all"
        reasons.append(InfeasibleReason(kind="stock", subject=pool_id, value=float(units), text=text))
    return reasons


def find_largest_share(instance: RentalInstance, options: SolveOptions, *, watch: Stopwatch) -> float | None:
    """Return the largest scale of the demand that stock and budget carry (`min_cost`); None when not asked or known."""
    if instance.objective is not Objective.MIN_COST:
        return None
    reduced = reduce_instance(instance, has_spot_cap=has_spot_cap(instance, options)).instance
    if not reduced.configurations:
        return 0.0
    variant = replace(define_variant(instance, options), min_rate=0.0)
    rental = build_model(reduced, options, variant)
    rental.model.maximize(rental.rate)
    outcome = run_model(rental, options, time_limit_s=watch.left_s)
    return outcome.objective * rental.rate_scale if outcome.kind is OutcomeKind.OPTIMAL else None
