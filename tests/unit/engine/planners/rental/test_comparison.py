"""Baselines of the worked example."""

from dataclasses import replace

import pytest

from engine.domain.plan import Baseline, Objective
from engine.planners.rental.comparison import (
    ROUND_ROBIN,
    SINGLE_TYPE,
    SINGLE_TYPE_UNLIMITED,
    SPREAD_BY_SPEED,
    UNIFORM,
    UNIFORM_UNLIMITED,
    group_by_type,
    list_baselines,
)
from engine.planners.rental.instance import RentalInstance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.solver import Stopwatch
from tests.support.rental_instances import (
    EXACT,
    WORKED_COPIES,
    WORKED_POOL_TYPES,
    define_copy,
    define_worked_example,
    solve,
    still_clock,
)


def compare(instance: RentalInstance, options: SolveOptions = EXACT, *, limit_s: float = 60.0) -> dict[str, Baseline]:
    assignment = solve(instance, options).assignment
    watch = Stopwatch(clock=still_clock, limit_s=limit_s)
    found = list_baselines(instance, options, assignment, WORKED_POOL_TYPES, clock=still_clock, watch=watch)
    return {item.name: item for item in found}


class TestListBaselines:
    @pytest.mark.parametrize(
        ("name", "detail", "makespan_s", "usd_per_hour"),
        [
            (SINGLE_TYPE, "t2", 46.6667, 4.0),
            (SINGLE_TYPE_UNLIMITED, "t2", 23.3333, 8.0),
            (UNIFORM, "c4", 46.6667, 4.0),
            (UNIFORM_UNLIMITED, "c4", 23.3333, 8.0),
            (SPREAD_BY_SPEED, "the plan's machines", 30.9368, 8.0),
            (ROUND_ROBIN, "the plan's machines", 48.3333, 8.0),
        ],
    )
    def test_are_those_of_the_specification(
        self, name: str, detail: str, makespan_s: float, usd_per_hour: float
    ) -> None:
        baseline = compare(define_worked_example())[name]
        assert baseline.is_feasible
        assert (baseline.detail, baseline.usd_per_hour) == (detail, pytest.approx(usd_per_hour))
        assert 100.0 / baseline.requests_per_s == pytest.approx(makespan_s, abs=5e-5)

    @pytest.mark.parametrize(("pool", "makespan_s"), [("t1", 48.3333), ("t2", 46.6667), ("t3", 153.3333)])
    def test_solve_every_single_type(self, pool: str, makespan_s: float) -> None:
        members = group_by_type(define_worked_example(), WORKED_POOL_TYPES)[pool]
        objective = solve(define_worked_example().with_configurations(members)).objective
        assert objective is not None
        assert 1.0 / objective == pytest.approx(makespan_s, abs=5e-5)

    @pytest.mark.parametrize(
        ("copy_id", "makespan_s"), [("c1", 48.3333), ("c2", 55.5556), ("c3", 153.3333), ("c4", 46.6667)]
    )
    def test_evaluate_every_uniform_plan(self, copy_id: str, makespan_s: float) -> None:
        baseline = compare(define_worked_example().with_configurations([copy_id]))[UNIFORM]
        assert 100.0 / baseline.requests_per_s == pytest.approx(makespan_s, abs=5e-5)

    def test_never_beat_the_plan_with_the_same_stock(self) -> None:
        baselines = compare(define_worked_example())
        for name in (SINGLE_TYPE, UNIFORM, SPREAD_BY_SPEED, ROUND_ROBIN):
            assert 100.0 / baselines[name].requests_per_s >= 28.4313

    def test_compare_dollars_under_the_least_cost(self) -> None:
        baselines = compare(define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(2.0, 0.5)))
        assert not baselines[SINGLE_TYPE].is_feasible
        unlimited = baselines[SINGLE_TYPE_UNLIMITED]
        assert (unlimited.detail, unlimited.usd_per_hour, unlimited.requests_per_s) == ("t2", 6.0, 2.5)
        uniform = baselines[UNIFORM_UNLIMITED]
        assert (uniform.detail, uniform.usd_per_hour) == ("c2", 6.0)

    def test_carry_at_most_the_demand_under_the_least_cost(self) -> None:
        copies = (define_copy("a", 1.0, {"t1": 1}, {"w1": 10.0, "w2": 10.0}),)
        instance = define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(2.0, 0.5), copies=copies)
        baseline = compare(instance)[SPREAD_BY_SPEED]
        assert (baseline.requests_per_s, baseline.is_feasible) == (2.5, True)

    def test_fall_short_of_the_demand_where_shares_are_not_planned(self) -> None:
        instance = define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(2.0, 0.5))
        baseline = compare(instance)[ROUND_ROBIN]
        assert not baseline.is_feasible
        assert baseline.requests_per_s < 2.5

    def test_do_not_put_everything_on_spot_under_a_cap(self) -> None:
        spot = tuple(replace(item, is_spot=item.id == "c4") for item in WORKED_COPIES)
        assert compare(define_worked_example(copies=spot))[UNIFORM].detail == "c1"
        whole = compare(define_worked_example(copies=spot), replace(EXACT, spot_max_share=1.0))
        assert whole[UNIFORM].detail == "c4"

    def test_mark_simple_shares_that_break_the_spot_cap(self) -> None:
        copies = tuple(replace(item, is_spot=item.id == "c4") for item in WORKED_COPIES)
        instance = define_worked_example(copies=copies, budget=12.0, stock={"t1": 2, "t2": 2, "t3": 0})
        baseline = compare(instance)[SPREAD_BY_SPEED]
        assert not baseline.is_feasible
        assert baseline.detail == "the plan's machines; puts more on spot machines than allowed"

    def test_are_infeasible_with_nothing_to_rent(self) -> None:
        baselines = compare(define_worked_example(budget=1.0))
        assert set(baselines) == {SINGLE_TYPE, SINGLE_TYPE_UNLIMITED, UNIFORM, UNIFORM_UNLIMITED}
        assert not any(item.is_feasible for item in baselines.values())

    def test_compare_single_types_only_for_several_models(self) -> None:
        instance = define_worked_example(copies=(*WORKED_COPIES, replace(WORKED_COPIES[1], id="v", model_id="b")))
        classes = (instance.classes[0], replace(instance.classes[1], model_id="b"))
        assert set(compare(replace(instance, classes=classes))) == {SINGLE_TYPE, SINGLE_TYPE_UNLIMITED}

    def test_say_when_the_time_was_over(self) -> None:
        baseline = compare(define_worked_example(), limit_s=0.0)[SINGLE_TYPE]
        assert (baseline.is_feasible, baseline.detail) == (False, "stopped by the time limit")


class TestGroupByType:
    def test_leaves_mixed_copies_out(self) -> None:
        mixed = define_copy("m", 1.0, {"t1": 1, "t2": 1}, {"w1": 1.0})
        same = define_copy("s", 1.0, {"t1": 1, "t3": 1}, {"w1": 1.0})
        groups = group_by_type(define_worked_example(copies=(mixed, same)), {"t1": "A", "t2": "B", "t3": "A"})
        assert groups == {"A": frozenset({"s"})}
