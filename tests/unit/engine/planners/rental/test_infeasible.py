"""Reasons why nothing feasible exists, with their numbers."""

import itertools
from dataclasses import replace

import pytest

from engine.domain.plan import Objective
from engine.planners.rental.infeasible import (
    find_largest_share,
    find_missing_stock,
    find_smallest_budget,
    list_infeasible_reasons,
    list_spot_only_classes,
    list_unservable_classes,
)
from engine.planners.rental.instance import RentalInstance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.solver import Stopwatch
from tests.support.rental_instances import EXACT, WORKED_COPIES, define_copy, define_worked_example, solve, still_clock

HALVES = (
    define_copy("a", 1.0, {"t1": 1}, {"w1": 1e-4}),
    define_copy("b", 3.0, {"t2": 1}, {"w2": 1e4}),
    define_copy("c", 5.0, {"t3": 1}, {"w1": 1.0, "w2": 1.0}),
)


def make_watch(limit_s: float = 60.0) -> Stopwatch:
    return Stopwatch(clock=still_clock, limit_s=limit_s)


def define_demand(w1: float, w2: float, budget: float | None = None) -> RentalInstance:
    return define_worked_example(objective=Objective.MIN_COST, budget=budget, demand=(w1, w2))


def list_reasons(instance: RentalInstance, options: SolveOptions = EXACT) -> list[tuple[str, str, float]]:
    found = list_infeasible_reasons(instance, options, watch=make_watch())
    return [(reason.kind, reason.subject, pytest.approx(reason.value, abs=1e-6)) for reason in found]


class TestSmallestBudget:
    def test_buys_a_copy_for_every_class(self) -> None:
        assert find_smallest_budget(define_worked_example(budget=1.9), EXACT, watch=make_watch()) == pytest.approx(2.0)

    def test_adds_up_copies_that_serve_different_classes(self) -> None:
        instance = define_worked_example(budget=0.5, copies=HALVES)
        smallest = find_smallest_budget(instance, EXACT, watch=make_watch())
        assert smallest == pytest.approx(4.0)
        assert solve(instance.with_budget(4.0)).assignment is not None
        assert solve(instance.with_budget(3.99)).assignment is None

    def test_carries_the_whole_demand_under_the_least_cost(self) -> None:
        assert find_smallest_budget(define_demand(4.0, 1.0, 5.0), EXACT, watch=make_watch()) == pytest.approx(16.0)

    def test_is_none_beyond_the_stock(self) -> None:
        assert find_smallest_budget(define_demand(5.0, 1.25), EXACT, watch=make_watch()) is None

    def test_is_none_without_time(self) -> None:
        assert find_smallest_budget(define_worked_example(budget=1.0), EXACT, watch=make_watch(0.0)) is None


class TestMissingStock:
    def test_is_one_unit_of_t2(self) -> None:
        missing = find_missing_stock(define_demand(5.0, 1.25), EXACT, watch=make_watch())
        assert missing is not None
        assert (missing.units, missing.usd_per_hour) == ({"t2": 1}, pytest.approx(18.0))

    def test_would_make_it_feasible(self) -> None:
        assert solve(define_demand(5.0, 1.25).with_stock("t2", 3)).objective == pytest.approx(18.0)

    def test_lends_to_an_empty_market(self) -> None:
        empty = define_worked_example(stock={"t1": 0, "t2": 0, "t3": 0})
        missing = find_missing_stock(empty, EXACT, watch=make_watch())
        assert missing is not None
        # One copy is enough: the cheapest of those that take one unit.
        assert sum(missing.units.values()) == 1
        assert missing.usd_per_hour == pytest.approx(2.0)


class TestLargestShare:
    def test_is_the_scale_of_the_demand_that_fits(self) -> None:
        share = find_largest_share(define_demand(5.0, 1.25), EXACT, watch=make_watch())
        assert share == pytest.approx(0.866207, abs=1e-6)

    def test_is_zero_when_nothing_can_be_bought(self) -> None:
        assert find_largest_share(define_demand(1.0, 1.0, 1.0), EXACT, watch=make_watch()) == 0.0

    def test_is_not_asked_under_the_largest_rate(self) -> None:
        assert find_largest_share(define_worked_example(budget=1.0), EXACT, watch=make_watch()) is None


class TestListInfeasibleReasons:
    def test_names_the_smallest_budget(self) -> None:
        assert list_reasons(define_worked_example(budget=1.9)) == [("budget", "", 2.0)]

    def test_names_budget_and_share_under_the_least_cost(self) -> None:
        kinds = [(kind, subject) for kind, subject, _ in list_reasons(define_demand(4.0, 1.0, 8.0))]
        assert kinds == [("budget", ""), ("demand_share", "")]

    def test_names_missing_stock_and_share(self) -> None:
        assert list_reasons(define_demand(5.0, 1.25)) == [("stock", "t2", 1.0), ("demand_share", "", 0.866207)]

    def test_says_what_the_missing_stock_would_cost(self) -> None:
        reasons = list_infeasible_reasons(define_demand(5.0, 1.25), EXACT, watch=make_watch())
        assert reasons[0].text == "1 more of t2 would make it feasible, at 18.00 USD/h in all"
        assert reasons[1].text == "budget and stock carry 86.6 % of the demand"

    def test_names_classes_that_nothing_serves(self) -> None:
        copies = (define_copy("a", 1.0, {"t1": 1}, {"w1": 1.0}),)
        instance = define_worked_example(copies=copies)
        assert list_reasons(instance) == [("class", "w2", 0.0)]
        assert list_unservable_classes(instance) == ("w2",)

    def test_names_classes_that_only_spot_serves(self) -> None:
        copies = (
            define_copy("a", 1.0, {"t1": 1}, {"w1": 1.0, "w2": 1.0}, is_spot=True),
            define_copy("b", 1.0, {"t2": 1}, {"w1": 1.0}),
        )
        instance = define_worked_example(copies=copies)
        assert solve(instance).assignment is None
        assert list_reasons(instance) == [("class", "w2", 0.5)]
        reasons = list_infeasible_reasons(instance, EXACT, watch=make_watch())
        assert reasons[0].text == "only spot machines serve class w2, and they may carry at most 50 % of it"
        assert list_spot_only_classes(instance, replace(EXACT, spot_max_share=1.0)) == ()

    def test_says_once_that_everything_is_spot(self) -> None:
        copies = tuple(replace(item, is_spot=True) for item in WORKED_COPIES)
        reasons = list_infeasible_reasons(define_worked_example(copies=copies), EXACT, watch=make_watch())
        assert [(reason.kind, reason.subject, reason.value) for reason in reasons] == [("class", "", 0.5)]
        assert reasons[0].text == "only spot machines can serve this, and they may carry at most 50 % of every class"

    def test_counts_missing_stock_of_several_pools(self) -> None:
        instance = define_worked_example(stock={"t1": 0, "t2": 0, "t3": 0}, copies=HALVES[:2])
        reasons = list_infeasible_reasons(instance, EXACT, watch=make_watch())
        assert [(reason.kind, reason.subject, reason.value) for reason in reasons] == [
            ("stock", "t1", 1.0),
            ("stock", "t2", 1.0),
        ]
        assert reasons[0].text == (
            "1 more of t1, with the other missing machines, would make it feasible, at 4.00 USD/h in all"
        )

    def test_explains_an_empty_market_by_missing_stock(self) -> None:
        kinds = [kind for kind, _, _ in list_reasons(define_worked_example(stock={"t1": 0, "t2": 0, "t3": 0}))]
        assert kinds == ["stock"]

    @pytest.mark.parametrize("budget", [0.0, 0.5, 1.99])
    def test_finds_a_reason_for_every_small_budget(self, budget: float) -> None:
        assert list_reasons(define_worked_example(budget=budget)) == [("budget", "", 2.0)]

    @pytest.mark.slow
    def test_always_finds_a_reason(self) -> None:
        """Whatever makes the worked example infeasible, something is said about it."""
        for spot, stock, demand in itertools.product((False, True), (0, 1), (0.5, 5.0)):
            copies = tuple(replace(item, is_spot=spot) for item in WORKED_COPIES)
            instance = define_worked_example(
                objective=Objective.MIN_COST,
                budget=3.0,
                demand=(4 * demand, demand),
                copies=copies,
                stock={"t1": stock, "t2": stock, "t3": stock},
            )
            assert solve(instance).assignment is None
            assert list_reasons(instance)
