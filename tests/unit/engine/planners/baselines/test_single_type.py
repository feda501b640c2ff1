"""The best single-type plan."""

from engine.domain.plan import Baseline, Objective
from engine.planners.baselines.single_type import RestrictedResult, find_best_single_type, is_better

GROUPS = {"A": frozenset({"a"}), "B": frozenset({"b"}), "C": frozenset({"c"})}


class Market:
    """Bounds and results by type; remembers what was solved."""

    def __init__(self, bounds: dict[str, float | None], results: dict[str, tuple[float, float] | None]) -> None:
        self.bounds, self.results = bounds, results
        self.solved: list[str] = []

    def bound(self, keep: frozenset[str]) -> float | None:
        return self.bounds[next(iter(keep))]

    def solve(self, keep: frozenset[str]) -> RestrictedResult | None:
        name = next(iter(keep))
        self.solved.append(name)
        found = self.results[name]
        return None if found is None else RestrictedResult(requests_per_s=found[0], usd_per_hour=found[1])

    def find_best(self, objective: Objective) -> Baseline:
        return find_best_single_type(
            name="best",
            objective=objective,
            configurations_by_type=GROUPS,
            bound_subset=self.bound,
            solve_subset=self.solve,
        )


class TestFindBestSingleType:
    def test_takes_the_largest_rate(self) -> None:
        market = Market({"a": 5.0, "b": 6.0, "c": 7.0}, {"a": (4.0, 1.0), "b": (5.0, 9.0), "c": (3.0, 1.0)})
        baseline = market.find_best(Objective.MAX_RATE)
        assert (baseline.detail, baseline.requests_per_s, baseline.usd_per_hour) == ("B", 5.0, 9.0)

    def test_takes_the_least_cost(self) -> None:
        market = Market({"a": 1.0, "b": 1.0, "c": 1.0}, {"a": (2.0, 4.0), "b": (2.0, 3.0), "c": (2.0, 5.0)})
        baseline = market.find_best(Objective.MIN_COST)
        assert (baseline.detail, baseline.requests_per_s, baseline.usd_per_hour) == ("B", 2.0, 3.0)

    def test_does_not_solve_what_cannot_win(self) -> None:
        market = Market({"a": 2.0, "b": 9.0, "c": 3.0}, {"a": (2.0, 1.0), "b": (8.0, 1.0), "c": (3.0, 1.0)})
        assert market.find_best(Objective.MAX_RATE).detail == "B"
        assert market.solved == ["b"]

    def test_does_not_solve_what_cannot_be_cheaper(self) -> None:
        market = Market({"a": 9.0, "b": 2.0, "c": 3.0}, {"a": (1.0, 9.0), "b": (1.0, 3.0), "c": (1.0, 3.0)})
        assert market.find_best(Objective.MIN_COST).detail == "B"
        assert market.solved == ["b"]

    def test_goes_on_while_a_bound_leaves_room(self) -> None:
        market = Market({"a": 8.5, "b": 9.0, "c": 3.0}, {"a": (8.4, 1.0), "b": (8.0, 1.0), "c": (3.0, 1.0)})
        assert market.find_best(Objective.MAX_RATE).detail == "A"
        assert market.solved == ["b", "a"]

    def test_skips_infeasible_types(self) -> None:
        market = Market({"a": None, "b": 9.0, "c": 3.0}, {"b": None, "c": (3.0, 1.0)})
        assert market.find_best(Objective.MAX_RATE).detail == "C"

    def test_is_infeasible_when_every_type_is(self) -> None:
        market = Market({"a": None, "b": 9.0, "c": None}, {"b": None})
        baseline = market.find_best(Objective.MAX_RATE)
        assert (baseline.is_feasible, baseline.detail) == (False, "no single type suffices")


class TestIsBetter:
    def test_takes_the_cheaper_of_equal_rates(self) -> None:
        dear, cheap = (RestrictedResult(requests_per_s=1.0, usd_per_hour=usd) for usd in (2.0, 1.0))
        assert is_better(Objective.MAX_RATE, cheap, dear)
        assert not is_better(Objective.MAX_RATE, dear, cheap)

    def test_keeps_the_other_on_a_tie(self) -> None:
        one = RestrictedResult(requests_per_s=1.0, usd_per_hour=2.0)
        assert not is_better(Objective.MAX_RATE, one, one)
        assert not is_better(Objective.MIN_COST, one, one)
