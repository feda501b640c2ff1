"""Which machines another plan keeps."""

from engine.domain.plan import PlannedMachine
from webapp.deployments.matching import HeldMachine, match_machines


def hold(pk: int, plan_machine_id: str, offer_id: str = "a") -> HeldMachine:
    return HeldMachine(pk=pk, plan_machine_id=plan_machine_id, offer_id=offer_id)


def want(machine_id: str, offer_id: str = "a") -> PlannedMachine:
    return PlannedMachine(id=machine_id, offer_id=offer_id, usd_per_hour=1.0)


class TestMatchMachines:
    def test_keeps_places_that_both_plans_have(self) -> None:
        held = [hold(1, "m2"), hold(2, "m1")]
        assert match_machines(held, [want("m1"), want("m2"), want("m3")]) == {1: "m2", 2: "m1"}

    def test_uses_a_machine_of_the_same_offer_for_another_place(self) -> None:
        held = [hold(1, "m1", "a"), hold(2, "m2", "b")]
        assert match_machines(held, [want("m1", "b"), want("m2", "c")]) == {1: "", 2: "m1"}

    def test_marks_what_is_left_as_surplus(self) -> None:
        held = [hold(1, "m1"), hold(2, "m2"), hold(3, "")]
        assert match_machines(held, [want("m2")]) == {2: "m2", 1: "", 3: ""}

    def test_takes_up_a_surplus_machine_again(self) -> None:
        assert match_machines([hold(3, "")], [want("m1")]) == {3: "m1"}

    def test_gives_no_place_twice(self) -> None:
        places = match_machines([hold(pk, "") for pk in range(1, 5)], [want("m1"), want("m2")])
        assert places == {1: "m1", 2: "m2", 3: "", 4: ""}
