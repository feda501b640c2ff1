"""Plans re-computed in plain arithmetic: what a set of copies with given shares really carries.

Nothing here calls a solver, so it can contradict one.
"""

import math
from collections.abc import Mapping
from typing import Final

from engine.errors import EngineError
from engine.planners.rental.instance import Assignment, InstanceConfiguration, RentalInstance

# Relative slack granted to a solver's arithmetic when its plan is checked again.
CHECK_TOLERANCE: Final = 1e-6


class PlanMismatchError(EngineError):
    """The solver's plan breaks a row or misses its own objective when it is computed again."""

    code = "plan_mismatch"


def evaluate_rate(
    instance: RentalInstance,
    copies: Mapping[str, int],
    shares: Mapping[str, Mapping[str, float]],
    *,
    max_load: float = 1.0,
) -> float:
    """Return the request sets per s that `copies` carry when every class is split by `shares`.

    The slowest copy sets the pace: r = min_c rho y_c / sum_w x_cw f_w / h_cw; 0 where a share goes to a copy
    that is not rented or cannot serve the class; inf without any demand.
    """
    demand = {item.id: item.demand for item in instance.demanded}
    configurations = {item.id: item for item in instance.configurations}
    rate = math.inf
    for configuration_id, part in shares.items():
        time_per_set_s = _sum_time(configurations[configuration_id], part, demand)
        if time_per_set_s > 0.0:
            rate = min(rate, max_load * copies.get(configuration_id, 0) / time_per_set_s)
    return rate


def _sum_time(configuration: InstanceConfiguration, part: Mapping[str, float], demand: Mapping[str, float]) -> float:
    total_s = 0.0
    for class_id, share in part.items():
        wanted = share * demand.get(class_id, 0.0)
        if wanted > 0.0:
            speed = configuration.requests_per_s.get(class_id, 0.0)
            total_s += wanted / speed if speed > 0.0 else math.inf
    return total_s


def spread_by_speed(instance: RentalInstance, copies: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Return shares in proportion to speed: x_cw = y_c h_cw / sum over c; classes nobody serves are left out."""
    shares: dict[str, dict[str, float]] = {}
    for item in instance.demanded:
        speed = {
            c.id: copies.get(c.id, 0) * c.requests_per_s.get(item.id, 0.0)
            for c in instance.configurations
            if c.model_id == item.model_id
        }
        total = sum(speed.values())
        for configuration_id, value in speed.items():
            if value > 0.0:
                shares.setdefault(configuration_id, {})[item.id] = value / total
    return shares


def spread_round_robin(instance: RentalInstance, copies: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Return equal shares for every copy, whatever it is: what a load balancer without weights does."""
    total = sum(copies.values())
    return {
        configuration_id: {item.id: count / total for item in instance.demanded}
        for configuration_id, count in copies.items()
        if count > 0
    }


def sum_usd_per_hour(instance: RentalInstance, copies: Mapping[str, int]) -> float:
    """Return what `copies` cost [USD/h]."""
    return sum(copies.get(item.id, 0) * item.usd_per_hour for item in instance.configurations)


def sum_units(instance: RentalInstance, copies: Mapping[str, int]) -> dict[str, int]:
    """Return pool id -> units that `copies` take, 0 included."""
    units = dict.fromkeys(instance.availability, 0)
    for item in instance.configurations:
        for pool_id, count in item.units.items():
            units[pool_id] += count * copies.get(item.id, 0)
    return units


def check_assignment(instance: RentalInstance, assignment: Assignment, *, spot_max_share: float) -> None:
    """Check rows (1), (3), (4), (6) and copy limits of a plan.

    Raises:
        PlanMismatchError: naming the row that does not hold to 1e-6.
    """
    for item in instance.demanded:
        total = sum(part.get(item.id, 0.0) for part in assignment.shares.values())
        _check(abs(total - 1.0) <= CHECK_TOLERANCE, f"balance:{item.id}", total)
    cost = sum_usd_per_hour(instance, assignment.copies)
    if instance.budget_usd_per_hour is not None:
        _check(cost <= instance.budget_usd_per_hour * (1.0 + CHECK_TOLERANCE), "budget", cost)
    for pool_id, units in sum_units(instance, assignment.copies).items():
        _check(units <= instance.availability[pool_id], f"availability:{pool_id}", units)
    _check_configurations(instance, assignment, spot_max_share=spot_max_share)


def _check_configurations(instance: RentalInstance, assignment: Assignment, *, spot_max_share: float) -> None:
    for item in instance.configurations:
        count = assignment.copies.get(item.id, 0)
        limit = math.inf if item.max_copies is None else item.max_copies
        _check(0 <= count <= limit, f"copies:{item.id}", count)
    for class_id, share in _sum_spot_shares(instance, assignment.shares).items():
        _check(share <= spot_max_share + CHECK_TOLERANCE, f"spot:{class_id}", share)


def find_largest_spot_share(instance: RentalInstance, shares: Mapping[str, Mapping[str, float]]) -> float:
    """Return the largest part of a class that spot copies serve, 0..1."""
    return max(_sum_spot_shares(instance, shares).values(), default=0.0)


def _sum_spot_shares(instance: RentalInstance, shares: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    on_spot: dict[str, float] = {}
    for item in instance.configurations:
        if item.is_spot:
            for class_id, share in shares.get(item.id, {}).items():
                on_spot[class_id] = on_spot.get(class_id, 0.0) + share
    return on_spot


def _check(holds: bool, row: str, value: float) -> None:
    if not holds:
        raise PlanMismatchError(f"the plan breaks {row} ({value})", row=row, value=value)
