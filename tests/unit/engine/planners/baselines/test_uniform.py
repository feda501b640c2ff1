"""Plans of one repeated configuration."""

import math

import pytest

from engine.domain.plan import Baseline, Objective
from engine.planners.baselines.uniform import UniformCandidate, find_best_uniform


def define_candidate(name: str, usd_per_hour: float, max_copies: int, copy_s: float) -> UniformCandidate:
    return UniformCandidate(id=name, usd_per_hour=usd_per_hour, max_copies=max_copies, copy_s_per_demand=copy_s)


def find(
    objective: Objective,
    *candidates: UniformCandidate,
    budget: float = 10.0,
    total_demand: float = 100.0,
    max_load: float = 1.0,
) -> Baseline:
    return find_best_uniform(
        name="uniform",
        objective=objective,
        candidates=candidates,
        budget_usd_per_hour=budget,
        total_demand=total_demand,
        max_load=max_load,
    )


class TestFindBestUniform:
    @pytest.mark.parametrize(
        ("budget", "max_copies", "copies"), [(10.0, 9, 3), (10.0, 2, 2), (9.0, 9, 3), (8.99, 9, 2)]
    )
    def test_rents_what_budget_and_stock_allow(self, budget: float, max_copies: int, copies: int) -> None:
        baseline = find(Objective.MAX_RATE, define_candidate("a", 3.0, max_copies, 50.0), budget=budget)
        assert baseline.requests_per_s == pytest.approx(copies * 100.0 / 50.0)
        assert baseline.usd_per_hour == pytest.approx(3.0 * copies)

    def test_takes_the_fastest(self) -> None:
        fast, slow = define_candidate("fast", 5.0, 9, 10.0), define_candidate("slow", 5.0, 9, 11.0)
        assert find(Objective.MAX_RATE, slow, fast).detail == "fast"

    def test_rents_the_fewest_copies_that_carry_the_demand(self) -> None:
        baseline = find(Objective.MIN_COST, define_candidate("a", 3.0, 9, 2.5), budget=math.inf)
        assert (baseline.usd_per_hour, baseline.requests_per_s) == (9.0, 100.0)

    def test_keeps_copies_below_the_largest_load(self) -> None:
        whole = define_candidate("a", 1.0, 9, 2.0)
        assert find(Objective.MIN_COST, whole).usd_per_hour == 2.0
        assert find(Objective.MIN_COST, whole, max_load=0.85).usd_per_hour == 3.0

    def test_takes_the_cheapest(self) -> None:
        one, many = define_candidate("one", 5.0, 9, 0.9), define_candidate("many", 1.0, 9, 3.5)
        assert find(Objective.MIN_COST, one, many).detail == "many"

    @pytest.mark.parametrize(
        "candidate",
        [
            define_candidate("cannot serve a class", 1.0, 9, math.inf),
            define_candidate("too dear", 11.0, 9, 1.0),
            define_candidate("out of stock", 1.0, 0, 1.0),
        ],
    )
    def test_is_infeasible_when_it_cannot_be_had(self, candidate: UniformCandidate) -> None:
        for objective in Objective:
            baseline = find(objective, candidate)
            assert (baseline.is_feasible, baseline.detail) == (False, "no single configuration suffices")

    def test_is_infeasible_when_stock_cannot_carry_the_demand(self) -> None:
        assert not find(Objective.MIN_COST, define_candidate("a", 1.0, 2, 2.5)).is_feasible
