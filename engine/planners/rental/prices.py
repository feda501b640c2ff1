"""Shadow prices: what the relaxation, or the program with fixed copies, says a unit more would bring.

They are directions, not promises: whole copies may need a bigger step, which `binding` finds exactly.

Source: specification of the rental planner, section 6.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.domain.plan import Objective
from engine.planners.rental.instance import RentalInstance
from engine.planners.rental.model import Variant, build_model, sum_cost
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.solve import define_variant
from engine.planners.rental.solver import OutcomeKind, run_model


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPrices:
    """Prices from the relaxation, as improvements of the objective, >= 0.

    Attributes:
        bound: objective of the relaxation [sets/s or USD/h].
        budget: per USD/h; 0 without a budget.
        pools: pool id -> per unit.
    """

    bound: float
    budget: float
    pools: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPrices:
    """Prices with the copies fixed.

    Attributes:
        classes: class id -> sets/s gained per request/s of extra service of that class.
        copies: configuration id -> sets/s gained by one more copy, max_w mu_w h_cw.
    """

    classes: Mapping[str, float]
    copies: Mapping[str, float]


def price_rows(instance: RentalInstance, options: SolveOptions, *, time_limit_s: float) -> RowPrices | None:
    """Return prices of budget and pools with integrality dropped; None when that has no solution in time."""
    if not instance.configurations:
        return None
    variant = replace(define_variant(instance, options), is_integer=False)
    rental = build_model(instance, options, variant)
    is_rate = instance.objective is Objective.MAX_RATE
    if is_rate:
        rental.model.maximize(rental.rate)
    else:
        rental.model.minimize(sum_cost(rental))
    outcome = run_model(rental, options, time_limit_s=time_limit_s)
    if outcome.kind is not OutcomeKind.OPTIMAL:
        return None
    scale = rental.rate_scale if is_rate else 1.0
    prices = {name: abs(value) * scale for name, value in outcome.duals.items()}
    return RowPrices(
        bound=outcome.objective * scale,
        budget=prices.get("budget", 0.0),
        pools={pool: prices.get(f"availability:{pool}", 0.0) for pool in instance.availability},
    )


def price_classes(
    instance: RentalInstance, options: SolveOptions, copies: Mapping[str, int], *, time_limit_s: float
) -> ClassPrices | None:
    """Return what more service of each class, and one more copy of each configuration, would bring."""
    rental = build_model(instance, options, Variant(is_integer=False, fixed_copies=copies))
    rental.model.maximize(rental.rate)
    outcome = run_model(rental, options, time_limit_s=time_limit_s)
    if outcome.kind is not OutcomeKind.OPTIMAL:
        return None
    # Row (1) was divided by f_w and the unit of r, the objective by the unit of r alone.
    classes = {item.id: abs(outcome.duals.get(f"balance:{item.id}", 0.0)) / item.demand for item in instance.demanded}
    copies_value = {
        item.id: max((classes[w] * speed for w, speed in item.requests_per_s.items() if w in classes), default=0.0)
        for item in instance.configurations
    }
    return ClassPrices(classes=classes, copies=copies_value)
