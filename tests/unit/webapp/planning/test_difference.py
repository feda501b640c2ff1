"""What a plan changes against the one that runs."""

from collections.abc import Callable

from engine.domain.plan import Plan
from webapp.planning.difference import CountChange, FigureChange, compare_plans

MakePlan = Callable[..., Plan]


class TestComparePlans:
    """`compare_plans`..."""

    def test_counts_machines_and_replicas_that_come_stay_and_go(self, make_plan: MakePlan) -> None:
        running = make_plan([("a", 2.0), ("a", 2.0), ("b", 1.0)])
        planned = make_plan([("a", 2.0), ("c", 3.0), ("b", 1.0)])
        found = compare_plans(running=running, planned=planned)
        assert found.machines == (
            CountChange(id="a", before=2, after=1),
            CountChange(id="b", before=1, after=1),
            CountChange(id="c", before=0, after=1),
        )
        assert [item.change for item in found.replicas] == [-1, 0, 1]
        assert [item.id for item in found.replicas] == ["llama-8b/a/tp8", "llama-8b/b/tp8", "llama-8b/c/tp8"]
        assert not found.is_same_fleet

    def test_compares_money_and_rates(self, make_plan: MakePlan) -> None:
        found = compare_plans(running=make_plan([("a", 2.0)]), planned=make_plan([("a", 5.5)]))
        assert found.usd_per_hour == FigureChange(before=2.0, after=5.5)
        assert found.usd_per_hour.change == 3.5
        assert (found.requests_per_s.change, found.output_tokens_per_s.change) == (0.0, 0.0)
        assert found.is_same_fleet

    def test_calls_everything_new_when_nothing_runs(self, make_plan: MakePlan) -> None:
        found = compare_plans(running=None, planned=make_plan([("a", 2.0)]))
        assert found.machines == (CountChange(id="a", before=0, after=1),)
        assert found.usd_per_hour == FigureChange(before=None, after=2.0)
        assert found.usd_per_hour.change is None

    def test_has_no_rate_for_a_plan_that_predicts_nothing(self, make_plan: MakePlan) -> None:
        found = compare_plans(running=make_plan(), planned=make_plan([], prediction=None))
        assert found.requests_per_s == FigureChange(before=10.0, after=None)
