"""Which machines of a deployment another plan can keep. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.plan import PlannedMachine


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMachine:
    """A machine that is held now; `plan_machine_id` is empty when the plan before did not want it."""

    pk: int
    plan_machine_id: str
    offer_id: str


def match_machines(held: Sequence[HeldMachine], wanted: Sequence[PlannedMachine]) -> Mapping[int, str]:
    """Return primary key -> new plan machine id for every held machine; an empty id marks a surplus one.

    A machine keeps its id where both plans agree on its offer, so that its shards stay as they are; others of the
    same offer are used for what is left.
    """
    by_place = {(machine.plan_machine_id, machine.offer_id): machine.pk for machine in held if machine.plan_machine_id}
    kept = {by_place[key]: key[0] for item in wanted if (key := (item.id, item.offer_id)) in by_place}
    missing = [item for item in wanted if item.id not in kept.values()]
    for machine in held:
        if machine.pk in kept:
            continue
        place = next((item for item in missing if item.offer_id == machine.offer_id), None)
        kept[machine.pk] = place.id if place else ""
        missing = [item for item in missing if item is not place]
    return kept
