"""Brute force over copies: the published bilinear program, linear once the copies are fixed.

    min T   s.t.  sum_c x_cw = 1,   sum_w x_cw f_w / (y_c h_cw) <= T

A different formulation (shares and makespan) and a different solver (GLOP) than the planner's.
"""

import itertools
import math
from collections.abc import Iterator, Mapping

from ortools.math_opt.python import mathopt

from engine.domain.plan import Objective
from engine.planners.rental.evaluate import sum_units
from engine.planners.rental.instance import RentalInstance


def list_copies(instance: RentalInstance) -> Iterator[dict[str, int]]:
    """Yield every choice of copies within stock, copy limits and budget, the empty one included."""
    ranges = [
        range(
            min(
                *(instance.availability[pool] // count for pool, count in item.units.items()),
                math.inf if item.max_copies is None else item.max_copies,
            )
            + 1
        )
        for item in instance.configurations
    ]
    budget = instance.budget_usd_per_hour
    for counts in itertools.product(*ranges):
        copies = {item.id: count for item, count in zip(instance.configurations, counts, strict=True) if count}
        cost = sum(count * item.usd_per_hour for item, count in zip(instance.configurations, counts, strict=True))
        units = sum_units(instance, copies)
        has_stock = all(units[pool] <= instance.availability[pool] for pool in units)
        if has_stock and (budget is None or cost <= budget * (1 + 1e-9)):
            yield copies


def find_makespan_s(instance: RentalInstance, copies: Mapping[str, int], *, spot_max_share: float = 1.0) -> float:
    """Return the least makespan of one request set on these copies [s]; inf when a class is not served."""
    model = mathopt.Model()
    makespan = model.add_variable(lb=0.0)
    rented = [item for item in instance.configurations if copies.get(item.id, 0)]
    share = {
        (item.id, cls.id): model.add_variable(lb=0.0)
        for item in rented
        for cls in instance.demanded
        if item.model_id == cls.model_id and item.requests_per_s.get(cls.id, 0.0) > 0.0
    }
    if {class_id for _, class_id in share} != {cls.id for cls in instance.demanded}:
        return math.inf
    for cls in instance.demanded:
        model.add_linear_constraint(sum(share[key] for key in share if key[1] == cls.id) == 1.0)
        spot = [share[item.id, cls.id] for item in rented if item.is_spot and (item.id, cls.id) in share]
        if spot:
            model.add_linear_constraint(sum(spot) <= spot_max_share)
    for item in rented:
        time = sum(
            share[item.id, cls.id] * (cls.demand / item.requests_per_s[cls.id] / copies[item.id])
            for cls in instance.demanded
            if (item.id, cls.id) in share
        )
        model.add_linear_constraint(time <= makespan)
    model.minimize(makespan)
    result = mathopt.solve(model, mathopt.SolverType.GLOP)
    if result.termination.reason is not mathopt.TerminationReason.OPTIMAL:
        return math.inf
    return float(result.objective_value())


def find_best_makespan_s(instance: RentalInstance, *, spot_max_share: float = 1.0) -> float:
    """Return the optimal makespan by trying all copies [s]; inf when infeasible."""
    return min(
        (find_makespan_s(instance, copies, spot_max_share=spot_max_share) for copies in list_copies(instance)),
        default=math.inf,
    )


def find_least_cost(instance: RentalInstance, *, max_load: float = 1.0, spot_max_share: float = 1.0) -> float:
    """Return the least cost of copies that carry the demand at `max_load` [USD/h]; inf when infeasible."""
    best = math.inf
    for copies in list_copies(instance):
        cost = sum(copies.get(item.id, 0) * item.usd_per_hour for item in instance.configurations)
        if cost < best and find_makespan_s(instance, copies, spot_max_share=spot_max_share) <= max_load * (1 + 1e-7):
            best = cost
    return best


def find_optimum(instance: RentalInstance, *, max_load: float = 1.0, spot_max_share: float = 1.0) -> float:
    """Return the makespan [s] or the cost [USD/h], whichever the instance asks for."""
    if instance.objective is Objective.MAX_RATE:
        return find_best_makespan_s(instance, spot_max_share=spot_max_share)
    return find_least_cost(instance, max_load=max_load, spot_max_share=spot_max_share)
