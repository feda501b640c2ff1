"""Shadow prices of the worked example."""

import pytest

from engine.domain.plan import Objective
from engine.planners.rental.prices import price_classes, price_rows
from tests.support.rental_instances import EXACT, define_worked_example


class TestPriceRows:
    def test_prices_budget_and_stock(self) -> None:
        prices = price_rows(define_worked_example(), EXACT, time_limit_s=60.0)
        assert prices is not None
        assert prices.budget == pytest.approx(0.002586207, abs=1e-9)
        assert prices.pools == pytest.approx({"t1": 0.0, "t2": 0.007241379, "t3": 0.0}, abs=1e-9)

    def test_bounds_the_optimum(self) -> None:
        prices = price_rows(define_worked_example(), EXACT, time_limit_s=60.0)
        assert prices is not None
        assert prices.bound >= 0.035172413

    def test_prices_stock_in_dollars_under_the_least_cost(self) -> None:
        instance = define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(2.0, 0.5))
        prices = price_rows(instance, EXACT, time_limit_s=60.0)
        assert prices is not None
        # Without the second unit of t2 c1 would do c4's marginal work: the relaxation gains by more of t2.
        assert prices.pools["t2"] > 0.0
        assert prices.bound <= 6.0

    def test_is_none_without_a_solution(self) -> None:
        instance = define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(500.0, 0.5))
        assert price_rows(instance, EXACT, time_limit_s=60.0) is None
        assert price_rows(define_worked_example(copies=()), EXACT, time_limit_s=60.0) is None
        assert price_rows(define_worked_example(), EXACT, time_limit_s=0.0) is None


class TestPriceClasses:
    def test_prices_classes_and_copies_of_the_optimum(self) -> None:
        prices = price_classes(define_worked_example(), EXACT, {"c1": 1, "c4": 1}, time_limit_s=60.0)
        assert prices is not None
        assert prices.classes == pytest.approx({"w1": 0.01034483, "w2": 0.00862069}, abs=5e-9)
        assert prices.copies == pytest.approx(
            {"c1": 0.01034483, "c2": 0.00931034, "c3": 0.00431034, "c4": 0.02482759}, abs=5e-9
        )
