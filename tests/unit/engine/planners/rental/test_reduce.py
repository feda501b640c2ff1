"""Dropping configurations that a plan does not need."""

from collections.abc import Sequence
from dataclasses import replace

from engine.planners.rental.instance import InstanceConfiguration, RentalInstance
from engine.planners.rental.reduce import drop_dominated, is_obtainable, reduce_instance
from tests.support.rental_instances import WORKED_COPIES, define_copy, define_worked_example

BOTH = {"w1": 1.0, "w2": 1.0}


def define_instance(*copies: InstanceConfiguration) -> RentalInstance:
    return define_worked_example(copies=copies)


def list_kept(copies: Sequence[InstanceConfiguration], *, has_spot_cap: bool = False) -> list[str]:
    kept = drop_dominated(define_instance(*copies), list(copies), has_spot_cap=has_spot_cap)
    return [item.id for item in kept]


class TestReduceInstance:
    def test_counts_what_it_drops_and_why(self) -> None:
        reduction = reduce_instance(
            define_instance(
                *WORKED_COPIES,
                define_copy("idle", 1.0, {"t1": 1}, {"w1": 0.0}),
                define_copy("dear", 9.0, {"t1": 1}, BOTH),
                define_copy("large", 1.0, {"t1": 3}, BOTH),
                define_copy("worse", 4.0, {"t1": 1}, {"w1": 0.9, "w2": 1.2}),
            ),
            has_spot_cap=False,
        )
        assert [item.id for item in reduction.instance.configurations] == ["c2", "c3", "c1", "c4"]
        assert reduction.dropped == {
            "serves no demanded class": 1,
            "cannot be had within stock and budget": 2,
            "dominated by another configuration": 1,
        }

    def test_drops_what_serves_another_model_only(self) -> None:
        other = define_copy("o", 1.0, {"t1": 1}, BOTH, model_id="other")
        assert reduce_instance(define_instance(*WORKED_COPIES, other), has_spot_cap=False).dropped == {
            "serves no demanded class": 1
        }

    def test_drops_what_may_not_be_copied(self) -> None:
        barred = replace(WORKED_COPIES[0], max_copies=0)
        assert not is_obtainable(define_instance(barred), barred)


class TestDropDominated:
    def test_drops_what_one_other_does_better(self) -> None:
        better, worse = define_copy("a", 1.0, {"t1": 1}, BOTH), define_copy("b", 1.0, {"t1": 1}, {"w1": 0.5})
        assert list_kept([better, worse]) == list_kept([worse, better]) == ["a"]

    def test_drops_what_several_of_another_do_better(self) -> None:
        small, large = define_copy("a", 1.0, {"t1": 1}, BOTH), define_copy("b", 2.0, {"t1": 2}, {"w1": 2.0, "w2": 1.9})
        assert list_kept([small, large]) == ["a"]

    def test_keeps_what_is_faster_on_one_class(self) -> None:
        small, large = define_copy("a", 1.0, {"t1": 1}, BOTH), define_copy("b", 2.0, {"t1": 2}, {"w1": 2.1, "w2": 1.0})
        assert list_kept([small, large]) == ["a", "b"]

    def test_keeps_what_draws_on_another_pool(self) -> None:
        assert list_kept([define_copy("a", 1.0, {"t1": 1}, BOTH), define_copy("b", 5.0, {"t2": 1}, BOTH)]) == ["a", "b"]

    def test_keeps_what_takes_fewer_units(self) -> None:
        assert list_kept([define_copy("a", 1.0, {"t1": 2}, BOTH), define_copy("b", 2.0, {"t1": 1}, BOTH)]) == ["a", "b"]

    def test_keeps_the_first_of_twins(self) -> None:
        twins = [define_copy(name, 1.0, {"t1": 1}, BOTH) for name in ("a", "b", "c")]
        assert list_kept(twins) == ["a"]

    def test_keeps_models_apart(self) -> None:
        other = define_copy("b", 1.0, {"t1": 1}, BOTH, model_id="other")
        assert list_kept([define_copy("a", 1.0, {"t1": 1}, BOTH), other]) == ["a", "b"]

    def test_compares_within_zone_and_market_only_under_a_spot_cap(self) -> None:
        plain = define_copy("a", 1.0, {"t1": 1}, BOTH)
        spot = define_copy("b", 1.0, {"t1": 1}, BOTH, is_spot=True)
        elsewhere = define_copy("c", 1.0, {"t1": 1}, BOTH, zone="z")
        assert list_kept([plain, spot, elsewhere], has_spot_cap=True) == ["a", "b", "c"]
        assert list_kept([plain, spot, elsewhere]) == ["a"]

    def test_counts_single_copies_only_under_a_spot_cap(self) -> None:
        copies = [define_copy("a", 1.0, {"t1": 1}, BOTH), define_copy("b", 2.0, {"t1": 2}, BOTH)]
        doubled = [copies[0], define_copy("b", 2.0, {"t1": 2}, {"w1": 2.0, "w2": 2.0})]
        assert list_kept(copies, has_spot_cap=True) == ["a"]
        assert list_kept(doubled, has_spot_cap=True) == ["a", "b"]

    def test_never_trusts_a_limited_copy_to_replace_another(self) -> None:
        limited = define_copy("a", 1.0, {"t1": 1}, BOTH, max_copies=1)
        free = define_copy("b", 1.0, {"t1": 1}, {"w1": 0.5, "w2": 0.5})
        assert list_kept([limited, free]) == ["a", "b"]
        assert list_kept([replace(limited, max_copies=None), replace(free, max_copies=1)]) == ["a"]
