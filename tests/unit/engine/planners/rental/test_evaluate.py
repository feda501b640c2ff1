"""Plans re-computed in plain arithmetic."""

import math
from dataclasses import replace

import pytest

from engine.planners.rental.evaluate import (
    PlanMismatchError,
    check_assignment,
    evaluate_rate,
    spread_by_speed,
    spread_round_robin,
    sum_units,
)
from engine.planners.rental.instance import Assignment
from tests.support.rental_instances import WORKED_COPIES, define_copy, define_worked_example

PUBLISHED_SHARES = {"c1": {"w1": 0.15, "w2": 1.0}, "c4": {"w1": 0.85}}


def define_assignment(**changes: object) -> Assignment:
    assignment = Assignment(
        copies={"c1": 1, "c4": 1},
        shares={"c1": {"w1": 0.15, "w2": 1.0}, "c4": {"w1": 0.85}},
        rate=1.0,
        usd_per_hour=8.0,
    )
    return replace(assignment, **changes)  # type: ignore[arg-type]


class TestEvaluateRate:
    def test_gives_the_papers_plan_its_makespan(self) -> None:
        rate = evaluate_rate(define_worked_example(), {"c1": 1, "c4": 1}, PUBLISHED_SHARES)
        assert 1.0 / rate == pytest.approx(28.6667, abs=5e-5)

    @pytest.mark.parametrize(
        ("copies", "makespan_s"),
        [({"c1": 1, "c2": 1, "c3": 1}, 44.0559), ({"c1": 1, "c2": 2}, 35.2381), ({"c1": 1, "c4": 1}, 30.9368)],
    )
    def test_gives_the_papers_earlier_steps_their_makespans(self, copies: dict[str, int], makespan_s: float) -> None:
        instance = define_worked_example()
        assert 1.0 / evaluate_rate(instance, copies, spread_by_speed(instance, copies)) == pytest.approx(
            makespan_s, abs=5e-5
        )

    def test_gives_round_robin_its_makespan(self) -> None:
        instance, copies = define_worked_example(), {"c1": 1, "c4": 1}
        rate = evaluate_rate(instance, copies, spread_round_robin(instance, copies))
        assert 1.0 / rate == pytest.approx(48.3333, abs=5e-5)

    def test_is_zero_when_a_share_goes_to_a_copy_that_cannot_serve_it(self) -> None:
        copies = (define_copy("a", 1.0, {"t1": 1}, {"w1": 1.0}),)
        assert evaluate_rate(define_worked_example(copies=copies), {"a": 1}, {"a": {"w1": 1.0, "w2": 1.0}}) == 0.0

    def test_is_zero_when_a_share_goes_to_a_copy_that_is_not_rented(self) -> None:
        assert evaluate_rate(define_worked_example(), {"c1": 1}, PUBLISHED_SHARES) == 0.0

    def test_is_infinite_without_shares(self) -> None:
        assert evaluate_rate(define_worked_example(), {"c1": 1}, {}) == math.inf

    def test_leaves_room_below_the_largest_load(self) -> None:
        full = evaluate_rate(define_worked_example(), {"c1": 1, "c4": 1}, PUBLISHED_SHARES)
        assert evaluate_rate(
            define_worked_example(), {"c1": 1, "c4": 1}, PUBLISHED_SHARES, max_load=0.5
        ) == pytest.approx(full / 2)


class TestSpreadBySpeed:
    def test_counts_copies(self) -> None:
        shares = spread_by_speed(define_worked_example(), {"c1": 1, "c2": 2})
        assert shares["c1"] == pytest.approx({"w1": 1.0 / 2.8, "w2": 1.2 / 3.0})
        assert shares["c2"] == pytest.approx({"w1": 1.8 / 2.8, "w2": 1.8 / 3.0})

    def test_leaves_out_classes_nobody_serves(self) -> None:
        copies = (define_copy("a", 1.0, {"t1": 1}, {"w1": 1.0}),)
        assert spread_by_speed(define_worked_example(copies=copies), {"a": 1}) == {"a": {"w1": 1.0}}


class TestSumUnits:
    def test_counts_every_pool(self) -> None:
        assert sum_units(define_worked_example(), {"c2": 1, "c4": 2}) == {"t1": 0, "t2": 5, "t3": 0}


class TestCheckAssignment:
    def test_accepts_the_papers_plan(self) -> None:
        check_assignment(define_worked_example(), define_assignment(), spot_max_share=0.5)

    @pytest.mark.parametrize(
        ("changes", "row"),
        [
            ({"shares": {"c1": {"w1": 0.1, "w2": 1.0}, "c4": {"w1": 0.85}}}, "balance:w1"),
            ({"copies": {"c1": 2, "c4": 1}}, "budget"),
            ({"copies": {"c2": 3}}, "availability:t2"),
            ({"copies": {"c1": -1, "c4": 1}}, "copies:c1"),
        ],
    )
    def test_names_the_broken_row(self, changes: dict[str, object], row: str) -> None:
        with pytest.raises(PlanMismatchError) as caught:
            check_assignment(define_worked_example(), define_assignment(**changes), spot_max_share=0.5)
        assert caught.value.data["row"] == row

    def test_names_a_spot_share_above_the_cap(self) -> None:
        copies = tuple(replace(item, is_spot=item.id == "c4") for item in WORKED_COPIES)
        with pytest.raises(PlanMismatchError) as caught:
            check_assignment(define_worked_example(copies=copies), define_assignment(), spot_max_share=0.8)
        assert caught.value.data["row"] == "spot:w1"

    def test_names_a_broken_copy_limit(self) -> None:
        copies = tuple(replace(item, max_copies=0) if item.id == "c4" else item for item in WORKED_COPIES)
        with pytest.raises(PlanMismatchError) as caught:
            check_assignment(define_worked_example(copies=copies), define_assignment(), spot_max_share=0.5)
        assert caught.value.data["row"] == "copies:c4"
