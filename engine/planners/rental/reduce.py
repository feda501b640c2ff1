"""Dropping configurations that cannot be part of a plan, or need not be.

Each step counts what it drops and why; dropped configurations stay in the unreduced instance, which is what
explains infeasibility.

Source: specification of the rental planner, section 2, steps 5 to 7.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from engine.planners.rental.instance import InstanceConfiguration, RentalInstance

_TOLERANCE: Final = 1e-12  # relative; equal products of prices and speeds may differ in the last bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """A smaller instance with the same optimum, and reason -> configurations dropped."""

    instance: RentalInstance
    dropped: Mapping[str, int]


def reduce_instance(instance: RentalInstance, *, has_spot_cap: bool) -> Reduction:
    """Drop what serves nothing, what cannot be had and what another configuration dominates; sort the rest."""
    useful = _sort(instance, [item for item in instance.configurations if _serves_anything(instance, item)])
    obtainable = [item for item in useful if is_obtainable(instance, item)]
    kept = drop_dominated(instance, obtainable, has_spot_cap=has_spot_cap)
    dropped = {
        "serves no demanded class": len(instance.configurations) - len(useful),
        "cannot be had within stock and budget": len(useful) - len(obtainable),
        "dominated by another configuration": len(obtainable) - len(kept),
    }
    return Reduction(
        instance=replace(instance, configurations=tuple(kept)),
        dropped={reason: count for reason, count in dropped.items() if count},
    )


def _sort(instance: RentalInstance, items: list[InstanceConfiguration]) -> list[InstanceConfiguration]:
    """Order by price, accelerators and id, so that the order of offers cannot matter."""
    weights = instance.gpus_per_unit
    return sorted(
        items,
        key=lambda item: (
            item.usd_per_hour,
            sum(count * weights.get(pool, 1) for pool, count in item.units.items()),
            item.id,
        ),
    )


def _serves_anything(instance: RentalInstance, item: InstanceConfiguration) -> bool:
    return any(
        item.requests_per_s.get(demanded.id, 0.0) > 0.0
        for demanded in instance.demanded
        if demanded.model_id == item.model_id
    )


def is_obtainable(instance: RentalInstance, item: InstanceConfiguration) -> bool:
    """Tell whether one copy fits stock and budget."""
    has_units = all(count <= instance.availability.get(pool, 0) for pool, count in item.units.items())
    budget = instance.budget_usd_per_hour
    return has_units and (budget is None or item.usd_per_hour <= budget * (1.0 + 1e-9)) and item.max_copies != 0


def drop_dominated(
    instance: RentalInstance, items: list[InstanceConfiguration], *, has_spot_cap: bool
) -> list[InstanceConfiguration]:
    """Return the configurations that no other one replaces at no more cost and stock; of equal twins the first.

    c goes if some e and an integer k >= 1 have k o_e <= o_c, k d_ne <= d_nc and k h_ew >= h_cw throughout.
    With a spot cap or copy limits only equals in zone and market are compared, with k = 1.
    """
    has_limits = has_spot_cap or any(item.max_copies is not None for item in items)
    groups: dict[frozenset[str], list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(frozenset(item.units), []).append(index)
    kept: list[InstanceConfiguration] = []
    for index, item in enumerate(items):
        rivals = (other for key in _list_subsets(item) for other in groups.get(key, ()) if other != index)
        if not any(
            _dominates(instance, items[other], item, has_limits=has_limits, is_first=other < index) for other in rivals
        ):
            kept.append(item)
    return kept


def _list_subsets(item: InstanceConfiguration) -> Iterator[frozenset[str]]:
    """Yield the sets of pools that a rival may draw on: a copy takes units of one pool, or of a few."""
    for size in range(1, len(item.units) + 1):
        yield from map(frozenset, combinations(item.units, size))


def _dominates(
    instance: RentalInstance,
    other: InstanceConfiguration,
    item: InstanceConfiguration,
    *,
    has_limits: bool,
    is_first: bool,
) -> bool:
    if other.model_id != item.model_id:
        return False
    if has_limits and not _is_comparable(other, item):
        return False
    most = min((item.units[pool] // count for pool, count in other.units.items()), default=0)
    if other.usd_per_hour > 0.0:
        most = min(most, int(item.usd_per_hour * (1.0 + _TOLERANCE) / other.usd_per_hour))
    copies = min(most, 1) if has_limits else most
    if copies < 1 or not _is_as_fast(instance, other, item, copies):
        return False
    is_twin = copies == 1 and _is_as_fast(instance, item, other, 1) and item.units == other.units
    return is_first or not (is_twin and item.usd_per_hour <= other.usd_per_hour)


def _is_comparable(other: InstanceConfiguration, item: InstanceConfiguration) -> bool:
    return (other.zone, other.is_spot, other.max_copies) == (item.zone, item.is_spot, None)


def _is_as_fast(
    instance: RentalInstance, other: InstanceConfiguration, item: InstanceConfiguration, copies: int
) -> bool:
    return all(
        copies * other.requests_per_s.get(w.id, 0.0) * (1.0 + _TOLERANCE) >= item.requests_per_s.get(w.id, 0.0)
        for w in instance.demanded
    )
