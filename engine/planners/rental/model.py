"""The rental MILP in MathOpt.

Sets: classes w with demand, configurations c, pools n. Data: f_w demand [requests per set, or requests/s],
h_cw throughput of a copy on a class alone [requests/s], o_c price [USD/h], d_nc units of a pool per copy,
a_n units that can be had, B budget [USD/h], rho largest load of a copy.

Variables: y_c copies (integer), z_cw time that the copies of c spend on class w [copies], so that
u_cw = h_cw * z_cw requests/s; r request sets per s (`max_rate`), or scale of the demand, 1 (`min_cost`).

    (1) sum_c h_cw z_cw            = f_w r       every class with demand
    (2) sum_w z_cw                <= rho y_c     every configuration
    (3) sum_c o_c y_c             <= B
    (4) sum_c d_nc y_c            <= a_n (+ v_n) every pool; v_n missing units, only to explain infeasibility
    (6) sum_spot_c h_cw z_cw      <= sigma f_w r every class, when spot copies are capped
    (7) h_cw z_cw                 <= f_w R y_c   where a copy could serve more than all of a class; R bounds r.
                                                 Tightens the relaxation, implied for integer y

r is counted in units of what one perfect copy would carry (or of R, if that is less), z_cw in units of the time
that the fastest copy of its class would take for one unit of r, and rows (1), (6) and (7) are divided by f_w and the
unit of r: coefficients stay near 1 whatever the speeds, and no class is too small for the solver's tolerances.

Source: specification of the rental planner, section 4; arXiv:2502.00722 for the published bilinear form.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ortools.math_opt.python import mathopt

from engine.planners.rental.instance import InstanceConfiguration, RentalInstance, count_gpus
from engine.planners.rental.options import SolveOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What a particular solve changes in the model.

    Attributes:
        is_integer: copies are whole; else the relaxation.
        fixed_copies: configuration id -> copies, others 0; None leaves them free.
        min_rate: lower bound on r; max_rate: upper bound on r [1/s or 1].
        max_usd_per_hour: bound on the cost of the copies [USD/h], the budget or tighter.
        has_elastic_stock: pools may lend missing units v_n.
        max_missing_units: bound on their sum.
        max_load: rho.
    """

    is_integer: bool = True
    fixed_copies: Mapping[str, int] | None = None
    min_rate: float = 0.0
    max_rate: float = math.inf
    max_usd_per_hour: float | None = None
    has_elastic_stock: bool = False
    max_missing_units: float | None = None
    max_load: float = 1.0


@dataclass(slots=True, kw_only=True)
class RentalModel:
    """A built model with handles on its variables and rows.

    Attributes:
        rate_scale: unit of r [1/s or 1].
        time_scale: class id -> unit of z_cw [copies].
        class_scale: class id -> fastest h_cw [requests/s].
    """

    instance: RentalInstance
    model: mathopt.Model
    rate_scale: float
    time_scale: Mapping[str, float]
    class_scale: Mapping[str, float]
    rate: mathopt.Variable
    copies: dict[str, mathopt.Variable] = field(default_factory=dict)
    time: dict[tuple[str, str], mathopt.Variable] = field(default_factory=dict)
    missing: dict[str, mathopt.Variable] = field(default_factory=dict)
    balance_rows: dict[str, mathopt.LinearConstraint] = field(default_factory=dict)
    capacity_rows: dict[str, mathopt.LinearConstraint] = field(default_factory=dict)
    stock_rows: dict[str, mathopt.LinearConstraint] = field(default_factory=dict)
    budget_row: mathopt.LinearConstraint | None = None


def build_model(instance: RentalInstance, options: SolveOptions, variant: Variant) -> RentalModel:
    """Return the model of `instance` under `variant`, still without an objective."""
    rental = _define_variables(instance, variant)
    define_balance(rental)
    define_capacity(rental, variant)
    define_budget(rental, variant)
    define_stock(rental, variant)
    define_spot_cap(rental, options)
    if variant.max_rate < math.inf:
        define_tightening(rental, variant)
    return rental


def _is_useful(configuration: InstanceConfiguration, class_id: str, model_id: str) -> bool:
    return configuration.model_id == model_id and configuration.requests_per_s.get(class_id, 0.0) > 0.0


def _define_variables(instance: RentalInstance, variant: Variant) -> RentalModel:
    class_scale = {
        item.id: max((c.requests_per_s.get(item.id, 0.0) for c in instance.configurations), default=0.0) or 1.0
        for item in instance.demanded
    }
    rate_scale = 1.0 / sum(item.demand / class_scale[item.id] for item in instance.demanded)
    # A demand far below one copy would drown in the solver's absolute tolerances: count in its units.
    rate_scale = min(rate_scale, variant.max_rate) if variant.max_rate > 0.0 else rate_scale
    model = mathopt.Model(name="rental")
    rental = RentalModel(
        instance=instance,
        model=model,
        rate_scale=rate_scale,
        time_scale={item.id: item.demand / class_scale[item.id] * rate_scale for item in instance.demanded},
        class_scale=class_scale,
        rate=model.add_variable(
            lb=variant.min_rate / rate_scale,
            ub=variant.max_rate / rate_scale,
            name="r",
        ),
    )
    for configuration in instance.configurations:
        rental.copies[configuration.id] = _define_copies(rental, configuration, variant)
        for item in instance.demanded:
            if _is_useful(configuration, item.id, item.model_id):
                name = f"z:{configuration.id}:{item.id}"
                rental.time[configuration.id, item.id] = model.add_variable(lb=0.0, name=name)
    return rental


def _define_copies(rental: RentalModel, configuration: InstanceConfiguration, variant: Variant) -> mathopt.Variable:
    lower, upper = 0.0, math.inf if configuration.max_copies is None else float(configuration.max_copies)
    if variant.fixed_copies is not None:
        lower = upper = float(variant.fixed_copies.get(configuration.id, 0))
    return rental.model.add_variable(lb=lower, ub=upper, is_integer=variant.is_integer, name=f"y:{configuration.id}")


def define_balance(rental: RentalModel) -> None:
    """Add (1): every class is served in full, at the common rate."""
    by_class: dict[str, list[tuple[float, mathopt.Variable]]] = {}
    speeds = {item.id: item.requests_per_s for item in rental.instance.configurations}
    for (configuration_id, class_id), time in rental.time.items():
        by_class.setdefault(class_id, []).append((speeds[configuration_id][class_id], time))
    for item in rental.instance.demanded:
        scale = rental.class_scale[item.id]
        row = rental.model.add_linear_constraint(lb=0.0, ub=0.0, name=f"balance:{item.id}")
        for speed, time in by_class.get(item.id, []):
            row.set_coefficient(time, speed / scale)
        row.set_coefficient(rental.rate, -1.0)
        rental.balance_rows[item.id] = row


def define_capacity(rental: RentalModel, variant: Variant) -> None:
    """Add (2): no copy works more than `max_load` of its time."""
    for configuration_id, copies in rental.copies.items():
        row = rental.model.add_linear_constraint(ub=0.0, name=f"capacity:{configuration_id}")
        row.set_coefficient(copies, -variant.max_load)
        rental.capacity_rows[configuration_id] = row
    for (configuration_id, class_id), time in rental.time.items():
        rental.capacity_rows[configuration_id].set_coefficient(time, rental.time_scale[class_id])


def define_budget(rental: RentalModel, variant: Variant) -> None:
    """Add (3), where there is a bound on the cost."""
    if variant.max_usd_per_hour is None:
        return
    row = rental.model.add_linear_constraint(ub=variant.max_usd_per_hour, name="budget")
    for item in rental.instance.configurations:
        row.set_coefficient(rental.copies[item.id], item.usd_per_hour)
    rental.budget_row = row


def define_stock(rental: RentalModel, variant: Variant) -> None:
    """Add (4): no more units of a pool than can be had, but for those lent to explain infeasibility."""
    for pool_id, units in rental.instance.availability.items():
        row = rental.model.add_linear_constraint(ub=float(units), name=f"availability:{pool_id}")
        if variant.has_elastic_stock:
            missing = rental.model.add_integer_variable(lb=0.0, name=f"v:{pool_id}")
            row.set_coefficient(missing, -1.0)
            rental.missing[pool_id] = missing
        rental.stock_rows[pool_id] = row
    for item in rental.instance.configurations:
        for pool_id, units in item.units.items():
            rental.stock_rows[pool_id].set_coefficient(rental.copies[item.id], float(units))
    if variant.max_missing_units is not None:
        row = rental.model.add_linear_constraint(ub=variant.max_missing_units, name="missing")
        for missing in rental.missing.values():
            row.set_coefficient(missing, 1.0)


def define_spot_cap(rental: RentalModel, options: SolveOptions) -> None:
    """Add (6): interruptions come together, so spot copies serve a bounded part of every class."""
    spot = {item.id: item for item in rental.instance.configurations if item.is_spot}
    if not spot or options.spot_max_share >= 1.0:
        return
    for item in rental.instance.demanded:
        scale = rental.class_scale[item.id]
        row = rental.model.add_linear_constraint(ub=0.0, name=f"spot:{item.id}")
        for configuration_id, configuration in spot.items():
            time = rental.time.get((configuration_id, item.id))
            if time is not None:
                row.set_coefficient(time, configuration.requests_per_s[item.id] / scale)
        row.set_coefficient(rental.rate, -options.spot_max_share)


def define_tightening(rental: RentalModel, variant: Variant) -> None:
    """Add (7): a copy that could serve a class more than once still serves it once."""
    demands = {item.id: item.demand for item in rental.instance.demanded}
    for configuration in rental.instance.configurations:
        for class_id, demand in demands.items():
            time = rental.time.get((configuration.id, class_id))
            wanted = demand * variant.max_rate
            speed = configuration.requests_per_s.get(class_id, 0.0)
            if time is None or wanted >= variant.max_load * speed:
                continue
            scale = rental.class_scale[class_id]
            row = rental.model.add_linear_constraint(ub=0.0, name=f"once:{configuration.id}:{class_id}")
            row.set_coefficient(time, speed / scale)
            row.set_coefficient(rental.copies[configuration.id], -variant.max_rate / rental.rate_scale)


def sum_cost(rental: RentalModel) -> mathopt.LinearExpression:
    """Return the price of all copies [USD/h]."""
    return mathopt.LinearSum(item.usd_per_hour * rental.copies[item.id] for item in rental.instance.configurations)


def sum_gpus(rental: RentalModel) -> mathopt.LinearExpression:
    """Return the accelerators of all copies."""
    return mathopt.LinearSum(
        count_gpus(rental.instance, item) * rental.copies[item.id] for item in rental.instance.configurations
    )
