"""Solving instances: published and computed optima, ties, spot cap, statuses."""

import itertools
import math
from dataclasses import replace

import pytest

from engine.domain.plan import Objective, SolveStatus
from engine.planners.rental import solve as solve_module
from engine.planners.rental import solver
from engine.planners.rental.evaluate import evaluate_rate, sum_units, sum_usd_per_hour
from engine.planners.rental.instance import InstanceClass, RentalInstance
from engine.planners.rental.model import RentalModel
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.solve import assign_classes, round_copies, solve_instance
from engine.planners.rental.solver import Outcome, OutcomeKind, Stopwatch
from tests.support.rental_instances import EXACT, WORKED_COPIES, define_copy, define_worked_example, solve, still_clock
from tests.support.rental_oracle import find_best_makespan_s, find_makespan_s, list_copies

# Section 9: copies of (c1, c2, c3, c4), their cost [USD/h] and their makespan [s].
PLANS = (
    ((1, 0, 0, 1), 8, 28.4314), ((1, 1, 1, 0), 8, 41.8182), ((0, 2, 0, 0), 4, 55.5556),
    ((0, 0, 2, 1), 8, 30.6667), ((0, 2, 1, 0), 6, 43.8095), ((1, 0, 2, 0), 8, 57.5000),
    ((1, 2, 0, 0), 8, 34.5238), ((0, 0, 0, 1), 4, 46.6667), ((0, 1, 2, 0), 6, 61.3333),
    ((0, 0, 1, 1), 6, 35.0000), ((2, 0, 0, 0), 8, 48.3333), ((1, 0, 1, 0), 6, 70.7692),
    ((0, 2, 2, 0), 8, 38.3333), ((1, 1, 0, 0), 6, 50.8772), ((0, 1, 1, 0), 4, 76.6667),
    ((1, 0, 0, 0), 4, 96.6667), ((0, 1, 0, 0), 2, 111.1111), ((0, 0, 2, 0), 4, 153.3333),
    ((0, 0, 1, 0), 2, 306.6667),
)  # fmt: skip


def to_copies(counts: tuple[int, ...]) -> dict[str, int]:
    return {f"c{index}": count for index, count in enumerate(counts, start=1) if count}


def get_makespan_s(instance: RentalInstance, options: SolveOptions = EXACT) -> float:
    objective = solve(instance, options).objective
    assert objective is not None
    return 1.0 / objective


class TestMaxRate:
    def test_finds_the_optimum_of_the_worked_example(self) -> None:
        solution = solve(define_worked_example())
        assert solution.status is SolveStatus.OPTIMAL
        assert solution.objective == pytest.approx(0.035172414, abs=1e-9)
        assert solution.best_bound == pytest.approx(0.035172414, abs=1e-9)
        assert solution.gap is not None
        assert solution.gap <= 1e-6

    def test_splits_classes_as_published(self) -> None:
        assignment = solve(define_worked_example()).assignment
        assert assignment is not None
        assert assignment.copies == {"c1": 1, "c4": 1}
        assert assignment.usd_per_hour == 8.0
        assert assignment.shares["c1"] == pytest.approx({"w1": 5 / 34, "w2": 1.0}, abs=1e-6)
        assert assignment.shares["c4"] == pytest.approx({"w1": 29 / 34}, abs=1e-6)

    def test_agrees_with_brute_force_over_all_copies(self) -> None:
        instance = define_worked_example()
        assert find_best_makespan_s(instance) == pytest.approx(28.4314, abs=5e-5)
        assert get_makespan_s(instance) == pytest.approx(find_best_makespan_s(instance), rel=1e-6)

    @pytest.mark.parametrize(("counts", "usd_per_hour", "makespan_s"), PLANS)
    def test_evaluates_every_plan_of_the_table(
        self, counts: tuple[int, ...], usd_per_hour: float, makespan_s: float
    ) -> None:
        instance, copies = define_worked_example(), to_copies(counts)
        assert sum_usd_per_hour(instance, copies) == usd_per_hour
        assert 1.0 / assign_classes(instance, EXACT, copies).rate == pytest.approx(makespan_s, abs=5e-5)
        assert find_makespan_s(instance, copies) == pytest.approx(makespan_s, abs=5e-5)

    def test_has_the_nineteen_plans_of_the_table(self) -> None:
        instance = define_worked_example()
        served = [copies for copies in list_copies(instance) if math.isfinite(find_makespan_s(instance, copies))]
        assert sorted(map(str, served)) == sorted(str(to_copies(counts)) for counts, _, _ in PLANS)

    def test_has_54_vectors_of_which_36_respect_the_shared_stock(self) -> None:
        instance = define_worked_example(budget=None)
        vectors = list(itertools.product(range(3), range(3), range(3), range(2)))
        fitting = [item for item in vectors if sum_units(instance, to_copies(item))["t2"] <= 2]
        assert (len(vectors), len(fitting), len(list(list_copies(instance)))) == (54, 36, 36)

    @pytest.mark.parametrize(
        ("budget", "makespan_s"),
        [
            (2, 111.1111), (4, 46.6667), (6, 35.0), (8, 28.4314), (9, 28.4314), (10, 25.3275),
            (12, 21.9697), (14, 20.0692), (16, 18.4713), (18, 18.4713), (100, 18.4713),
        ],
    )  # fmt: skip
    def test_follows_the_budget_frontier(self, budget: float, makespan_s: float) -> None:
        assert get_makespan_s(define_worked_example(budget=budget)) == pytest.approx(makespan_s, abs=5e-5)

    @pytest.mark.parametrize(
        ("pool", "units", "makespan_s"),
        [("t2", 3, 26.3158), ("t2", 4, 23.3333), ("t1", 3, 28.4314), ("t3", 3, 28.4314)],
    )
    def test_answers_to_more_stock(self, pool: str, units: int, makespan_s: float) -> None:
        instance = define_worked_example().with_stock(pool, units)
        assert get_makespan_s(instance) == pytest.approx(makespan_s, abs=5e-5)

    def test_follows_the_closed_form_of_one_configuration(self) -> None:
        instance = RentalInstance(
            name="one",
            objective=Objective.MAX_RATE,
            budget_usd_per_hour=10.0,
            availability={"n": 9},
            classes=(InstanceClass(id="w", demand=60.0),),
            configurations=(define_copy("c", 3.0, {"n": 2}, {"w": 0.5}),),
        )
        assert get_makespan_s(instance) == pytest.approx(60.0 / (3 * 0.5))
        assert get_makespan_s(instance.with_budget(100.0)) == pytest.approx(60.0 / (4 * 0.5))

    def test_scales_with_the_demand(self) -> None:
        tripled = define_worked_example(demand=(240.0, 60.0))
        assert get_makespan_s(tripled) == pytest.approx(3 * get_makespan_s(define_worked_example()))

    def test_ignores_the_currency(self) -> None:
        cheap = [replace(item, usd_per_hour=item.usd_per_hour / 7) for item in WORKED_COPIES]
        instance = define_worked_example(budget=8.0 / 7, copies=cheap)
        assert get_makespan_s(instance) == pytest.approx(get_makespan_s(define_worked_example()))

    def test_ignores_a_class_without_demand(self) -> None:
        instance = define_worked_example()
        idle = InstanceClass(id="w3", demand=0.0)
        assert get_makespan_s(replace(instance, classes=(*instance.classes, idle))) == pytest.approx(28.4314, abs=5e-5)

    def test_ignores_a_model_without_demand(self) -> None:
        instance = define_worked_example()
        other = InstanceClass(id="v1", demand=0.0, model_id="other")
        copy = define_copy("o1", 0.1, {"t1": 1}, {"v1": 5.0}, model_id="other")
        wider = replace(instance, classes=(*instance.classes, other), configurations=(*instance.configurations, copy))
        assert solve(wider).assignment == solve(instance).assignment

    def test_lets_two_models_finish_together(self) -> None:
        instance = RentalInstance(
            name="two",
            objective=Objective.MAX_RATE,
            budget_usd_per_hour=3.0,
            availability={"n": 3},
            classes=(
                InstanceClass(id="a1", demand=10.0, model_id="a"),
                InstanceClass(id="b1", demand=20.0, model_id="b"),
            ),
            configurations=(
                define_copy("a", 1.0, {"n": 1}, {"a1": 1.0, "b1": 99.0}, model_id="a"),
                define_copy("b", 1.0, {"n": 1}, {"b1": 1.0}, model_id="b"),
            ),
        )
        solution = solve(instance)
        assert solution.assignment is not None
        assert solution.assignment.copies == {"a": 1, "b": 2}
        assert solution.objective == pytest.approx(0.1)

    def test_respects_a_copy_limit(self) -> None:
        limited = [replace(item, max_copies=0) if item.id == "c4" else item for item in WORKED_COPIES]
        assert get_makespan_s(define_worked_example(copies=limited)) == pytest.approx(34.5238, abs=5e-5)


class TestMinCost:
    @pytest.mark.parametrize(
        ("demand", "usd_per_hour", "counts"),
        [((2.0, 0.5), 6.0, (0, 0, 1, 1)), ((1.6, 0.4), 4.0, (0, 0, 0, 1)), ((1.0, 1.0), 6.0, (1, 1, 0, 0))],
    )
    def test_finds_the_least_cost(
        self, demand: tuple[float, float], usd_per_hour: float, counts: tuple[int, ...]
    ) -> None:
        solution = solve(define_worked_example(objective=Objective.MIN_COST, budget=None, demand=demand))
        assert solution.status is SolveStatus.OPTIMAL
        assert solution.objective == usd_per_hour
        assert solution.best_bound == pytest.approx(usd_per_hour)
        assert solution.assignment is not None
        assert solution.assignment.copies == to_copies(counts)

    def test_needs_nearly_everything_for_a_large_demand(self) -> None:
        assert (
            solve(define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(4.0, 1.0))).objective == 16
        )

    def test_reports_the_head_room_of_its_copies(self) -> None:
        assignment = solve(
            define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(2.0, 0.5))
        ).assignment
        assert assignment is not None
        assert assignment.rate == pytest.approx(1.142857, abs=1e-6)

    def test_keeps_copies_below_the_largest_load(self) -> None:
        instance = define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(2.0, 0.5))
        # 6 USD/h carry the demand 1.142857 times, so a load of 0.875 just suffices and 0.87 does not.
        assert solve(instance, replace(EXACT, max_load=0.8751)).objective == 6.0
        assert solve(instance, replace(EXACT, max_load=0.87)).objective == 8.0

    def test_is_infeasible_beyond_the_stock(self) -> None:
        solution = solve(define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(5.0, 1.25)))
        assert solution.status is SolveStatus.INFEASIBLE
        assert solution.assignment is None
        assert (solution.objective, solution.best_bound, solution.gap) == (None, None, None)

    def test_keeps_the_budget(self) -> None:
        instance = define_worked_example(objective=Objective.MIN_COST, budget=6.0, demand=(2.0, 0.5))
        assert solve(instance).objective == 6.0
        assert solve(instance.with_budget(5.99)).status is SolveStatus.INFEASIBLE

    @pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3])
    def test_is_exact_for_demands_of_any_size(self, scale: float) -> None:
        """A demand far below one copy must not drown in the solver's tolerances."""
        instance = define_worked_example(
            objective=Objective.MIN_COST,
            budget=None,
            demand=(2.0 * scale, 0.5 * scale),
            stock={"t1": 10_000, "t2": 10_000, "t3": 10_000},
        )
        # Below one copy the cheapest copy is enough. Far above, each class goes where it is cheapest: w1 to c4 at
        # 0.6 requests/s per USD/h, w2 to c2 at 0.45; 4444.4 USD/h, and every price is even.
        assert solve(instance).objective == (2.0 if scale < 1 else 4446.0)

    @pytest.mark.slow
    def test_is_dual_to_the_largest_rate(self) -> None:
        for budget in (2.0, 4.0, 6.0, 8.0, 12.0):
            rate = solve(define_worked_example(budget=budget)).objective
            assert rate is not None
            dual = define_worked_example(
                objective=Objective.MIN_COST, budget=None, demand=(80 * rate * (1 - 1e-6), 20 * rate * (1 - 1e-6))
            )
            cost = solve(dual).objective
            assert cost is not None
            assert cost <= budget
            again = solve(define_worked_example(budget=cost)).objective
            assert again is not None
            assert again >= rate * (1 - 1e-5)


class TestTies:
    def test_prefer_the_cheaper_plan(self) -> None:
        twins = (
            define_copy("dear", 2.0, {"t1": 1}, {"w1": 1.0, "w2": 1.0}),
            define_copy("cheap", 1.5, {"t2": 1}, {"w1": 1.0, "w2": 1.0}),
        )
        instance = define_worked_example(budget=2.0, copies=twins, stock={"t1": 1, "t2": 1})
        assignment = solve(instance).assignment
        assert assignment is not None
        assert assignment.copies == {"cheap": 1}

    def test_prefer_fewer_accelerators_at_equal_cost(self) -> None:
        twins = (
            define_copy("a-many", 2.0, {"t1": 4}, {"w1": 1.0, "w2": 1.0}),
            define_copy("b-few", 2.0, {"t2": 1}, {"w1": 1.0, "w2": 1.0}),
        )
        instance = define_worked_example(budget=2.0, copies=twins, stock={"t1": 4, "t2": 1})
        assignment = solve(instance).assignment
        assert assignment is not None
        assert assignment.copies == {"b-few": 1}

    def test_count_the_accelerators_of_a_unit(self) -> None:
        twins = (
            define_copy("a-eight", 2.0, {"t1": 1}, {"w1": 1.0, "w2": 1.0}),
            define_copy("b-four", 2.0, {"t2": 2}, {"w1": 1.0, "w2": 1.0}),
        )
        instance = define_worked_example(budget=2.0, copies=twins, stock={"t1": 1, "t2": 2})
        weighed = replace(instance, gpus_per_unit={"t1": 8, "t2": 2})
        assignment = solve(weighed).assignment
        assert assignment is not None
        assert assignment.copies == {"b-four": 1}

    def test_never_cost_the_proof(self) -> None:
        """A cheaper plan within 1e-4 of the rate is not taken where it would leave the gap."""
        twins = (
            define_copy("cheap", 1.0, {"t1": 1}, {"w1": 0.99995, "w2": 0.99995}),
            define_copy("best", 2.0, {"t2": 1}, {"w1": 1.0, "w2": 1.0}),
        )
        instance = define_worked_example(budget=2.0, copies=twins, stock={"t1": 1, "t2": 1})
        exact = solve(instance, replace(EXACT, mip_gap=1e-6)).assignment
        loose = solve(instance, replace(EXACT, mip_gap=1e-4)).assignment
        assert exact is not None
        assert loose is not None
        assert (exact.copies, loose.copies) == ({"best": 1}, {"cheap": 1})

    @pytest.mark.slow
    def test_do_not_depend_on_the_order_of_offers(self) -> None:
        orders = itertools.permutations(WORKED_COPIES)
        answers = {str(solve(define_worked_example(copies=order)).assignment) for order in orders}
        assert len(answers) == 1

    def test_are_the_same_for_the_same_seed(self) -> None:
        instance = define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(1.0, 1.0))
        assert len({str(solve(instance).assignment) for _ in range(5)}) == 1


class TestSpotCap:
    SPOT = tuple(replace(item, is_spot=item.id == "c4") for item in WORKED_COPIES)

    @pytest.mark.parametrize(("share", "makespan_s"), [(1.0, 28.4314), (0.75, 30.1852), (0.5, 34.5238), (0.0, 34.5238)])
    def test_bounds_the_share_of_every_class(self, share: float, makespan_s: float) -> None:
        instance = define_worked_example(copies=self.SPOT)
        options = replace(EXACT, spot_max_share=share)
        assert get_makespan_s(instance, options) == pytest.approx(makespan_s, abs=5e-5)

    def test_leaves_copies_on_demand_at_a_tight_cap(self) -> None:
        assignment = solve(define_worked_example(copies=self.SPOT), replace(EXACT, spot_max_share=0.5)).assignment
        assert assignment is not None
        assert assignment.copies == {"c1": 1, "c2": 2}

    def test_makes_a_spot_only_market_infeasible(self) -> None:
        spot = tuple(replace(item, is_spot=True) for item in WORKED_COPIES)
        assert solve(define_worked_example(copies=spot)).status is SolveStatus.INFEASIBLE


class TestStatus:
    def test_is_infeasible_below_the_cheapest_copy(self) -> None:
        solution = solve(define_worked_example(budget=1.99))
        assert (solution.status, solution.assignment) == (SolveStatus.INFEASIBLE, None)

    def test_is_infeasible_when_no_copies_serve_every_class(self) -> None:
        halves = (define_copy("a", 1.0, {"t1": 1}, {"w1": 1.0}), define_copy("b", 1.0, {"t2": 1}, {"w2": 1.0}))
        assert solve(define_worked_example(budget=1.0, copies=halves)).status is SolveStatus.INFEASIBLE
        assert solve(define_worked_example(budget=2.0, copies=halves)).status is SolveStatus.OPTIMAL

    def test_is_no_solution_without_any_time(self) -> None:
        solution = solve(define_worked_example(), replace(EXACT, time_limit_s=0.0))
        assert (solution.status, solution.assignment) == (SolveStatus.NO_SOLUTION, None)
        assert solution.notes == ("no plan was found within the time limit of 0 s",)

    def test_is_no_solution_when_the_shared_time_is_over(self) -> None:
        watch = Stopwatch(clock=still_clock, limit_s=0.0)
        solution = solve_instance(define_worked_example(), EXACT, clock=still_clock, stopwatch=watch)
        assert solution.status is SolveStatus.NO_SOLUTION

    @pytest.mark.parametrize("objective", list(Objective))
    def test_is_feasible_when_a_limit_ends_the_solve_with_a_plan(
        self, objective: Objective, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As if the limit had come after the first plan: its bound is 5 % away."""

        def stop_early(rental: RentalModel, options: SolveOptions, *, time_limit_s: float) -> Outcome:
            outcome = solver.run_model(rental, options, time_limit_s=time_limit_s)
            if all(copies.lower_bound == copies.upper_bound for copies in rental.copies.values()):
                return outcome  # copies fixed: the last linear program, which no limit stops
            better = 1.05 if objective is Objective.MAX_RATE else 0.95
            return replace(outcome, kind=OutcomeKind.LIMIT_WITH_PLAN, bound=outcome.objective * better)

        monkeypatch.setattr(solve_module, "run_model", stop_early)
        solution = solve(define_worked_example(objective=objective, demand=(2.0, 0.5)))
        assert solution.status is SolveStatus.FEASIBLE
        assert solution.gap == pytest.approx(0.05, rel=0.01)
        assert solution.assignment is not None

    def test_is_feasible_when_the_gap_is_not_proven(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the solver calls optimal: a gap above the wanted one is no proof."""

        def claim(rental: RentalModel, options: SolveOptions, *, time_limit_s: float) -> Outcome:
            outcome = solver.run_model(rental, options, time_limit_s=time_limit_s)
            return replace(outcome, bound=outcome.bound * 1.01)

        monkeypatch.setattr(solve_module, "run_model", claim)
        solution = solve(define_worked_example())
        assert solution.status is SolveStatus.FEASIBLE
        assert solution.gap == pytest.approx(0.01, rel=0.01)

    def test_keeps_the_plan_when_the_time_for_ties_is_over(self) -> None:
        ticks = iter([0.0, 0.0, 0.0, 0.0, 0.0, *[100.0] * 20])
        solution = solve_instance(define_worked_example(), EXACT, clock=lambda: next(ticks))
        assert solution.status is SolveStatus.OPTIMAL
        assert solution.objective == pytest.approx(0.035172414, abs=1e-9)
        assert solution.notes == (
            "tie-breaking by cost stopped early; the earlier plan is kept",
            "tie-breaking by accelerators stopped early; the earlier plan is kept",
        )

    def test_measures_its_runtime_by_the_given_clock(self) -> None:
        ticks = itertools.count()
        solution = solve_instance(define_worked_example(), EXACT, clock=lambda: float(next(ticks)))
        assert solution.runtime_s >= 1.0


class TestAssignClasses:
    def test_conserves_every_class_and_loads_no_copy_beyond_one(self) -> None:
        instance = define_worked_example()
        assignment = assign_classes(instance, EXACT, {"c1": 1, "c4": 1})
        for item in instance.classes:
            assert sum(part.get(item.id, 0.0) for part in assignment.shares.values()) == pytest.approx(1.0, abs=1e-9)
        assert evaluate_rate(instance, assignment.copies, assignment.shares) == pytest.approx(assignment.rate)


class TestRoundCopies:
    def test_keeps_whole_copies_that_are_rented(self) -> None:
        assert round_copies({"a": 0.9999999, "b": 1e-9, "c": 3.0000001}) == {"a": 1, "c": 3}
