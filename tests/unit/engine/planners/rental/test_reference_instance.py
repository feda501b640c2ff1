"""The reference instance R1: 44 configurations, nine classes, four markets.

Source: specification of the rental planner, sections 10 and 11 (checks 2, 3, 4, 6 and 8).
"""

from dataclasses import replace

import pytest

from engine.planners.rental.comparison import SINGLE_TYPE, SINGLE_TYPE_UNLIMITED, list_baselines
from engine.planners.rental.infeasible import find_smallest_budget
from engine.planners.rental.instance import RentalInstance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.prices import price_rows
from engine.planners.rental.reduce import drop_dominated, reduce_instance
from engine.planners.rental.solve import assign_classes
from engine.planners.rental.solver import Stopwatch
from tests.support.rental_instances import (
    LLAMA_8B,
    LLAMA_70B,
    REFERENCE_GPUS,
    define_reference_instance,
    list_reference_copies,
    solve,
    still_clock,
)

OPTIONS = SolveOptions(mip_gap=1e-5)
POOL_TYPES = {name: name for name in REFERENCE_GPUS}


def get_makespan_s(instance: RentalInstance, options: SolveOptions = OPTIONS) -> float:
    objective = solve(instance, options).objective
    assert objective is not None
    return 1.0 / objective


def make_watch() -> Stopwatch:
    return Stopwatch(clock=still_clock, limit_s=60.0)


class TestReferenceCopies:
    def test_are_44_and_66(self) -> None:
        assert (len(list_reference_copies(LLAMA_70B)), len(list_reference_copies(LLAMA_8B))) == (44, 66)

    @pytest.mark.parametrize(
        ("copy_id", "usd_per_hour", "speeds"),
        [
            ("4090-tp2-pp4", 4.24, (4.4464, 3.0513, 2.2718, 2.7143, 2.1220, 1.7052, 0.9176, 0.7631, 0.6283)),
            ("H100-tp2-pp2", 11.96, (29.3879, 19.0653, 13.3795, 17.9059, 13.0070, 9.8014, 6.0689, 4.8469, 3.8771)),
        ],
    )
    def test_have_the_published_speeds(self, copy_id: str, usd_per_hour: float, speeds: tuple[float, ...]) -> None:
        (item,) = [item for item in list_reference_copies() if item.id == copy_id]
        assert item.usd_per_hour == pytest.approx(usd_per_hour)
        assert tuple(item.requests_per_s.values()) == pytest.approx(speeds, abs=5e-5)


class TestReferenceInstance:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("budget", "stock", "makespan_s"),
        [
            (15.0, 1, 65.545), (15.0, 2, 65.545), (15.0, 3, 65.545), (15.0, 4, 65.545),
            (30.0, 1, 31.551), (30.0, 2, 29.949), (30.0, 3, 31.500), (30.0, 4, 31.500),
        ],
    )  # fmt: skip
    def test_has_the_published_makespans(self, budget: float, stock: int, makespan_s: float) -> None:
        instance = define_reference_instance(budget=budget, stock=stock)
        assert get_makespan_s(instance) == pytest.approx(makespan_s, abs=5e-4)

    @pytest.mark.parametrize(("budget", "makespan_s"), [(15.0, 59.124), (30.0, 30.396)])
    def test_has_the_published_relaxation(self, budget: float, makespan_s: float) -> None:
        prices = price_rows(define_reference_instance(budget=budget), OPTIONS, time_limit_s=60.0)
        assert prices is not None
        assert 1.0 / prices.bound == pytest.approx(makespan_s, abs=5e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("stock", "makespans_s"),
        [
            (1, (31.551, 30.578, 30.554, 30.453, 30.431, 30.407)),
            (2, (29.949, 29.779, 29.708, 29.673, 29.626, 29.591)),
        ],
    )
    def test_approaches_the_relaxation_with_its_size(self, stock: int, makespans_s: tuple[float, ...]) -> None:
        instances = [define_reference_instance(stock=stock, scale=scale) for scale in (1, 2, 5, 10, 20, 50)]
        found = [get_makespan_s(instance, SolveOptions()) for instance in instances]
        assert found == pytest.approx(makespans_s, rel=1e-4)

    def test_asks_for_the_cheapest_replica_at_least(self) -> None:
        instance = define_reference_instance(budget=2.0)
        assert solve(instance).assignment is None
        assert find_smallest_budget(instance, OPTIONS, watch=make_watch()) == pytest.approx(2.20)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("budget", "stock", "single_type_s"), [(15.0, 1, 70.586), (30.0, 1, 29.949), (30.0, 2, 29.949)]
    )
    def test_compares_with_the_best_single_type(self, budget: float, stock: int, single_type_s: float) -> None:
        instance = define_reference_instance(budget=budget, stock=stock)
        assignment = solve(instance, OPTIONS).assignment
        assert assignment is not None
        found = list_baselines(instance, OPTIONS, assignment, POOL_TYPES, clock=still_clock, watch=make_watch())
        baselines = {item.name: item for item in found}
        unlimited = baselines[SINGLE_TYPE_UNLIMITED]
        assert unlimited.detail == "H100"
        assert instance.total_demand / unlimited.requests_per_s == pytest.approx(single_type_s, abs=5e-4)
        # With the same stock no baseline beats the plan; with unlimited stock one may (31.551 > 29.949).
        limited = [
            item for name, item in baselines.items() if name != SINGLE_TYPE_UNLIMITED and "unlimited" not in name
        ]
        assert SINGLE_TYPE in {item.name for item in limited}
        rate = assignment.rate * instance.total_demand
        assert all(item.requests_per_s <= rate * (1 + OPTIONS.mip_gap) for item in limited)

    @pytest.mark.slow
    @pytest.mark.parametrize("trace", [1, 2, 3])
    def test_is_never_slower_with_more_of_anything(self, trace: int) -> None:
        base = define_reference_instance(trace=trace)
        makespan_s = get_makespan_s(base)
        limit = makespan_s * (1 + 2 * OPTIONS.mip_gap)
        assert get_makespan_s(base.with_budget(33.0)) <= limit
        assert get_makespan_s(base.with_stock("H100", 9)) <= limit
        fewer = base.with_configurations(item.id for item in base.configurations[::2])
        assert get_makespan_s(fewer) >= makespan_s * (1 - 2 * OPTIONS.mip_gap)
        first = base.classes[0]
        more = replace(base, classes=(replace(first, demand=first.demand * 1.5), *base.classes[1:]))
        assert get_makespan_s(more) >= makespan_s * (1 - 2 * OPTIONS.mip_gap)


class TestDominance:
    def test_leaves_nineteen_configurations(self) -> None:
        instance = define_reference_instance()
        assert len(reduce_instance(instance, has_spot_cap=False).instance.configurations) == 19

    def test_leaves_twenty_when_only_single_copies_count(self) -> None:
        instance = define_reference_instance()
        assert len(drop_dominated(instance, list(instance.configurations), has_spot_cap=True)) == 20

    def test_changes_no_optimum(self) -> None:
        instance = define_reference_instance()
        assignment = solve(instance, OPTIONS).assignment
        assert assignment is not None
        # The whole model on the same copies does no better: nothing that was dropped is missed.
        whole = assign_classes(instance, OPTIONS, assignment.copies)
        assert whole.rate == pytest.approx(assignment.rate)
