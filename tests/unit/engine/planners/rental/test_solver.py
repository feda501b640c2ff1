"""Stopwatches and solver runs."""

from collections.abc import Iterator

import pytest

from engine.planners.rental.model import Variant, build_model
from engine.planners.rental.solver import OutcomeKind, SolverFailureError, Stopwatch, run_model
from tests.support.rental_instances import EXACT, define_worked_example


def make_clock(*times: float) -> Iterator[float]:
    return iter(times)


class TestStopwatch:
    def test_counts_down(self) -> None:
        times = make_clock(10.0, 13.0, 14.0)
        watch = Stopwatch(clock=lambda: next(times), limit_s=5.0)
        assert (watch.elapsed_s, watch.left_s) == (3.0, 1.0)

    def test_is_never_negative(self) -> None:
        times = make_clock(10.0, 99.0)
        assert Stopwatch(clock=lambda: next(times), limit_s=5.0).left_s == 0.0

    def test_gives_a_part_no_more_than_is_left(self) -> None:
        watch = Stopwatch(clock=lambda: 0.0, limit_s=5.0)
        assert (watch.split(2.0).left_s, watch.split(9.0).left_s) == (2.0, 5.0)


class TestRunModel:
    def test_does_nothing_without_time(self) -> None:
        rental = build_model(define_worked_example(), EXACT, Variant())
        assert run_model(rental, EXACT, time_limit_s=0.0).kind is OutcomeKind.LIMIT_WITHOUT_PLAN

    def test_tells_infeasible_from_unbounded(self) -> None:
        rental = build_model(define_worked_example(), EXACT, Variant(min_rate=1.0, max_usd_per_hour=8.0))
        rental.model.maximize(rental.rate)
        assert run_model(rental, EXACT, time_limit_s=10.0).kind is OutcomeKind.INFEASIBLE

    def test_reports_an_unbounded_model_as_a_failure(self) -> None:
        rental = build_model(define_worked_example(), EXACT, Variant(is_integer=False))
        free = rental.model.add_variable(lb=0.0)
        rental.model.maximize(free)
        with pytest.raises(SolverFailureError) as caught:
            run_model(rental, EXACT, time_limit_s=10.0)
        assert caught.value.data["reason"] == "UNBOUNDED"

    def test_gives_duals_of_linear_programs_only(self) -> None:
        for is_integer in (True, False):
            rental = build_model(define_worked_example(), EXACT, Variant(is_integer=is_integer, max_usd_per_hour=8.0))
            rental.model.maximize(rental.rate)
            outcome = run_model(rental, EXACT, time_limit_s=10.0)
            assert outcome.kind is OutcomeKind.OPTIMAL
            assert bool(outcome.duals) is not is_integer
