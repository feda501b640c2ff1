"""Binding rows, exactly: a row binds if relaxing it by a useful step improves the re-solved objective.

The budget's step leads to the next point of the frontier, a pool's is 1, 2 or 4 more units. Every re-solve
asks only for plans better than what is proven possible now, which is quicker than solving anew.

Source: specification of the rental planner, section 6.3.
"""

from dataclasses import dataclass, replace
from typing import Final

from engine.domain.plan import BindingRow, Objective
from engine.planners.rental.evaluate import sum_units
from engine.planners.rental.instance import RentalInstance, Solution
from engine.planners.rental.model import Variant, build_model, sum_cost
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.prices import RowPrices, price_rows
from engine.planners.rental.reduce import reduce_instance
from engine.planners.rental.solve import define_variant, has_spot_cap
from engine.planners.rental.solver import OutcomeKind, Stopwatch, run_model

_POOL_STEPS: Final = (1, 2, 4)
_MAX_POOLS: Final = 12  # re-solves for more would take longer than the plan; the most valuable are tried
_LEAST_GAIN: Final = 1e-5  # relative; less could be the solver's feasibility tolerance
_MAX_NAMED: Final = 3  # rows spelled out in a note


class _OutOfTimeError(Exception):
    """A re-solve hit the limit: whether the row binds stays unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingReport:
    """Rows that bind; notes say what was not examined."""

    rows: tuple[BindingRow, ...]
    notes: tuple[str, ...] = ()


def find_binding_rows(
    instance: RentalInstance, options: SolveOptions, solution: Solution, *, watch: Stopwatch
) -> BindingReport:
    """Return the rows that limit a solved plan, each with its step and gain.

    Args:
        instance: the instance before reduction: a larger stock may allow what was dropped.
        options: as for the plan.
        solution: the plan.
        watch: time for this analysis.
    """
    prices = price_rows(_reduce(instance, options), options, time_limit_s=watch.left_s)
    if prices is None or solution.assignment is None:
        return BindingReport(rows=(), notes=("binding rows were not examined",))
    search = _Search(instance=instance, options=options, solution=solution, prices=prices, watch=watch)
    used = sum_units(instance, solution.assignment.copies)
    candidates = _list_candidates(instance, used, prices)
    rows: list[BindingRow] = []
    unknown: list[str] = []
    if instance.objective is Objective.MAX_RATE:
        try:
            rows.extend(search.find_budget(solution.assignment.usd_per_hour))
        except _OutOfTimeError:
            unknown.append("budget")
    for pool_id in candidates[:_MAX_POOLS]:
        try:
            rows.extend(search.find_pool(pool_id, used[pool_id]))
        except _OutOfTimeError:
            unknown.append(f"availability:{pool_id}")
    unknown.extend(f"availability:{pool_id}" for pool_id in candidates[_MAX_POOLS:])
    return BindingReport(rows=tuple(rows), notes=_note_unknown(unknown))


def _reduce(instance: RentalInstance, options: SolveOptions) -> RentalInstance:
    return reduce_instance(instance, has_spot_cap=has_spot_cap(instance, options)).instance


def _note_unknown(unknown: list[str]) -> tuple[str, ...]:
    if not unknown:
        return ()
    named = ", ".join(unknown[:_MAX_NAMED])
    more = f" and {len(unknown) - _MAX_NAMED} more" if len(unknown) > _MAX_NAMED else ""
    return (f"not examined in time, may bind: {named}{more}",)


def _list_candidates(instance: RentalInstance, used: dict[str, int], prices: RowPrices) -> list[str]:
    """Return pools whose next few units a copy could use, the dearest first."""
    largest: dict[str, int] = {}
    for item in instance.configurations:
        for pool_id, count in item.units.items():
            largest[pool_id] = max(largest.get(pool_id, 0), count)
    scarce = [
        pool_id
        for pool_id, units in instance.availability.items()
        if pool_id in largest and units - used[pool_id] < largest[pool_id]
    ]
    return sorted(scarce, key=lambda pool_id: (-prices.pools[pool_id], -used[pool_id], pool_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """Re-solves around one plan."""

    instance: RentalInstance
    options: SolveOptions
    solution: Solution
    prices: RowPrices
    watch: Stopwatch

    @property
    def is_rate(self) -> bool:
        """Whether more is better."""
        return self.instance.objective is Objective.MAX_RATE

    def find_pool(self, pool_id: str, used_units: int) -> list[BindingRow]:
        """Return the row of a pool with its first useful step, or nothing."""
        stock = self.instance.availability[pool_id]
        for step in _POOL_STEPS:
            gain = self._measure_gain(self.instance.with_stock(pool_id, stock + step))
            if gain is not None:
                row = BindingRow(
                    row=f"availability:{pool_id}",
                    slack=stock - used_units,
                    shadow_price=self.prices.pools[pool_id],
                    unit="sets/s per unit" if self.is_rate else "USD/h per unit",
                    step=step,
                    gain=gain,
                )
                return [row]
        return []

    def find_budget(self, usd_per_hour: float) -> list[BindingRow]:
        """Return the row of the budget with the step to the next better plan, or nothing."""
        budget = self.instance.budget_usd_per_hour
        next_budget = self._find_next_budget()
        if budget is None or next_budget is None or next_budget <= budget:
            return []
        gain = self._measure_gain(self.instance.with_budget(next_budget * (1.0 + 1e-9)))
        if gain is None:
            return []
        row = BindingRow(
            row="budget",
            slack=budget - usd_per_hour,
            shadow_price=self.prices.budget,
            unit="sets/s per USD/h",
            step=next_budget - budget,
            gain=gain,
        )
        return [row]

    def _get_threshold(self) -> float:
        """Return the objective beyond which a re-solve is an improvement: past the proof, the gap, the tolerances."""
        bound, value = self.solution.best_bound or 0.0, self.solution.objective or 0.0
        margin = max(self.options.mip_gap, _LEAST_GAIN) * abs(value)
        return bound + margin if self.is_rate else bound - margin

    def _find_next_budget(self) -> float | None:
        """Return the smallest budget at which more can be carried [USD/h]; None if none is large enough."""
        threshold = self._get_threshold()
        variant = Variant(min_rate=threshold, max_rate=threshold)
        return self._run(self.instance.with_budget(None), variant, of_rate=False)

    def _measure_gain(self, relaxed: RentalInstance) -> float | None:
        """Return the improvement over the plan, or None when there is none beyond the gap."""
        variant = define_variant(relaxed, self.options)
        threshold = self._get_threshold()
        if self.is_rate:
            bound = self._find_bound(relaxed)
            if bound < threshold:
                return None
            variant = replace(variant, min_rate=threshold, max_rate=bound * (1.0 + _LEAST_GAIN))
        else:
            variant = replace(variant, max_usd_per_hour=threshold)
        better = self._run(relaxed, variant, of_rate=self.is_rate)
        if better is None or self.solution.objective is None:
            return None
        return abs(better - self.solution.objective)

    def _find_bound(self, relaxed: RentalInstance) -> float:
        """Return what the relaxation cannot surpass [sets/s]: most steps are refuted by it, in no time."""
        prices = price_rows(_reduce(relaxed, self.options), self.options, time_limit_s=self.watch.left_s)
        if prices is None:
            raise _OutOfTimeError
        return prices.bound

    def _run(self, relaxed: RentalInstance, variant: Variant, *, of_rate: bool) -> float | None:
        rental = build_model(_reduce(relaxed, self.options), self.options, variant)
        if of_rate:
            rental.model.maximize(rental.rate)
        else:
            rental.model.minimize(sum_cost(rental))
        outcome = run_model(rental, self.options, time_limit_s=self.watch.left_s)
        if outcome.kind is OutcomeKind.INFEASIBLE:
            return None
        if outcome.kind is not OutcomeKind.OPTIMAL:
            raise _OutOfTimeError
        return outcome.objective * (rental.rate_scale if of_rate else 1.0)
