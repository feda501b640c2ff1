"""The rental planner's instance: classes, configurations, stock, budget; and the answer's raw form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from engine.domain.plan import BindingRow, InfeasibleReason, Objective, SolveStatus

DEFAULT_MODEL = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceClass:
    """A request class: `demand` in requests per set (`max_rate`) or requests/s (`min_cost`)."""

    id: str
    demand: float
    model_id: str = DEFAULT_MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceConfiguration:
    """A rentable copy.

    Attributes:
        usd_per_hour: price of one copy [USD/h].
        units: pool id -> units one copy takes.
        requests_per_s: class id -> throughput of the copy serving that class alone [requests/s]; absent = 0.
        max_copies: largest number of copies; None leaves it to stock and budget.
    """

    id: str
    usd_per_hour: float
    units: Mapping[str, int]
    requests_per_s: Mapping[str, float]
    model_id: str = DEFAULT_MODEL
    is_spot: bool = False
    zone: str = ""
    max_copies: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalInstance:
    """All that a solve needs.

    Attributes:
        budget_usd_per_hour: B [USD/h]; None leaves it open (`min_cost` only).
        availability: pool id -> units that can be rented now.
        gpus_per_unit: pool id -> accelerators in one unit, 1 where absent; used to break ties only.
    """

    name: str
    objective: Objective
    budget_usd_per_hour: float | None
    availability: Mapping[str, int]
    classes: tuple[InstanceClass, ...]
    configurations: tuple[InstanceConfiguration, ...]
    gpus_per_unit: Mapping[str, int] = field(default_factory=dict)

    @property
    def demanded(self) -> tuple[InstanceClass, ...]:
        """Classes with any demand; the others change nothing."""
        return tuple(item for item in self.classes if item.demand > 0.0)

    @property
    def total_demand(self) -> float:
        """Sum of all demands, requests per set or requests/s."""
        return sum(item.demand for item in self.classes)

    def with_budget(self, budget_usd_per_hour: float | None) -> "RentalInstance":
        """Return this instance under another budget."""
        return replace(self, budget_usd_per_hour=budget_usd_per_hour)

    def with_stock(self, pool_id: str, units: int) -> "RentalInstance":
        """Return this instance with another stock of one pool."""
        return replace(self, availability={**self.availability, pool_id: units})

    def with_configurations(self, keep: Iterable[str]) -> "RentalInstance":
        """Return this instance with these configurations only."""
        wanted = frozenset(keep)
        return replace(self, configurations=tuple(item for item in self.configurations if item.id in wanted))


def count_gpus(instance: RentalInstance, configuration: InstanceConfiguration) -> int:
    """Return the accelerators one copy rents."""
    return sum(count * instance.gpus_per_unit.get(pool, 1) for pool, count in configuration.units.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Copies to rent and who serves what, evaluated in plain arithmetic.

    Attributes:
        copies: configuration id -> copies, > 0.
        shares: configuration id -> class id -> share of the class, > 0; shares of a class sum to 1.
        rate: request sets per s that these copies carry at full load (`max_rate`) or the scale of the demand
            that they carry (`min_cost`) [1/s or 1].
        usd_per_hour: what the copies cost [USD/h].
    """

    copies: Mapping[str, int]
    shares: Mapping[str, Mapping[str, float]]
    rate: float
    usd_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Answer to an instance; `assignment` is None without a plan.

    Attributes:
        objective, best_bound: sets/s (`max_rate`) or USD/h (`min_cost`).
        gap: abs(bound - objective) / objective.
    """

    status: SolveStatus
    assignment: Assignment | None
    objective: float | None = None
    best_bound: float | None = None
    gap: float | None = None
    runtime_s: float = 0.0
    binding: tuple[BindingRow, ...] = ()
    reasons: tuple[InfeasibleReason, ...] = ()
    notes: tuple[str, ...] = ()
