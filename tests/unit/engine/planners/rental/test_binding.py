"""Rows that limit a plan, with the step and what it gains."""

from dataclasses import replace

import pytest

from engine.domain.plan import BindingRow, Objective
from engine.planners.rental.binding import BindingReport, find_binding_rows
from engine.planners.rental.instance import RentalInstance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.solver import Stopwatch
from tests.support.rental_instances import EXACT, WORKED_COPIES, define_worked_example, solve, still_clock


def find(instance: RentalInstance, options: SolveOptions = EXACT, watch: Stopwatch | None = None) -> BindingReport:
    watch = watch or Stopwatch(clock=still_clock, limit_s=60.0)
    return find_binding_rows(instance, options, solve(instance, options), watch=watch)


def find_row(report: BindingReport, name: str) -> BindingRow:
    (row,) = [row for row in report.rows if row.row == name]
    return row


class TestFindBindingRows:
    def test_names_budget_and_stock_of_the_worked_example(self) -> None:
        assert [row.row for row in find(define_worked_example()).rows] == ["budget", "availability:t2"]

    def test_steps_to_the_next_point_of_the_frontier(self) -> None:
        row = find_row(find(define_worked_example(budget=9.0)), "budget")
        assert (row.slack, row.step) == (pytest.approx(1.0), pytest.approx(1.0))
        assert row.gain == pytest.approx(1 / 25.3275 - 1 / 28.4314, abs=1e-7)

    def test_leaves_the_budget_out_where_more_brings_nothing(self) -> None:
        report = find(define_worked_example(budget=16.0))
        assert "budget" not in [row.row for row in report.rows]

    def test_takes_the_smallest_useful_step_of_stock(self) -> None:
        """One unit more of t2 is no use to copies of two."""
        pairs = tuple(item for item in WORKED_COPIES if item.id == "c4")
        report = find(define_worked_example(budget=100.0, copies=pairs))
        row = find_row(report, "availability:t2")
        assert (row.step, row.slack) == (2, 0)
        assert row.gain == pytest.approx(1 / 46.6667, abs=1e-7)

    def test_leaves_stock_out_where_more_brings_nothing(self) -> None:
        rows = [row.row for row in find(define_worked_example()).rows]
        assert "availability:t1" not in rows
        assert "availability:t3" not in rows

    def test_gains_dollars_under_the_least_cost(self) -> None:
        instance = define_worked_example(objective=Objective.MIN_COST, budget=None, demand=(4.0, 1.0))
        report = find(instance)
        row = find_row(report, "availability:t2")
        assert row.unit == "USD/h per unit"
        relaxed = solve(instance.with_stock("t2", 2 + int(row.step))).objective
        assert relaxed is not None
        assert row.gain == pytest.approx(16.0 - relaxed)
        assert "budget" not in [row.row for row in report.rows]

    def test_finds_stock_of_what_could_not_be_had(self) -> None:
        instance = define_worked_example(stock={"t1": 2, "t2": 0, "t3": 2}, budget=4.0)
        row = find_row(find(instance), "availability:t2")
        # c4 needs two units: 46.6667 s instead of c1's 96.6667 s.
        assert (row.step, row.gain) == (1, pytest.approx(1 / 76.6667 - 1 / 96.6667, abs=1e-7))

    def test_says_what_it_had_no_time_for(self) -> None:
        times = iter([0.0, 0.0, *[100.0] * 20])
        watch = Stopwatch(clock=lambda: next(times), limit_s=60.0)
        report = find(define_worked_example(), watch=watch)
        assert report.rows == ()
        assert report.notes == ("not examined in time, may bind: budget, availability:t2",)

    def test_is_not_examined_without_time_or_plan(self) -> None:
        watch = Stopwatch(clock=still_clock, limit_s=0.0)
        assert find(define_worked_example(), watch=watch).notes == ("binding rows were not examined",)
        assert find(define_worked_example(budget=1.0)).notes == ("binding rows were not examined",)

    def test_respects_the_spot_cap(self) -> None:
        spot = tuple(replace(item, is_spot=item.id == "c4") for item in WORKED_COPIES)
        instance = define_worked_example(copies=spot)
        row = find_row(find(instance), "budget")
        relaxed = solve(instance.with_budget(8.0 + row.step)).objective
        assert relaxed is not None
        assert row.gain == pytest.approx(relaxed - 1 / 34.5238, abs=1e-7)
