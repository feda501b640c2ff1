"""Sentences for people: what a binding row means, and what a plan takes for granted."""

from collections.abc import Iterable
from dataclasses import replace

from engine.domain.offer import Market, Offer
from engine.domain.plan import BindingRow, Objective, PlannedMachine
from engine.planners.rental.request import RentalRequest

_POOL_PREFIX = "availability:"


def describe_row(row: BindingRow, *, objective: Objective, value: float) -> BindingRow:
    """Return a row of a request's instance with its units named and its sentence written.

    A request's demands sum to one, so that its sets are requests; its units are machines.

    Args:
        row: as found in the instance.
        objective: the question.
        value: the plan's objective [requests/s or USD/h].
    """
    unit = row.unit.replace("sets/s", "requests/s").replace("per unit", "per machine")
    part = 100.0 * row.gain / value if value > 0.0 else 0.0
    if objective is Objective.MAX_RATE:
        effect = f"would carry {row.gain:.3g} requests/s more (+{part:.1f} %)"
    else:
        effect = f"would save {row.gain:.2f} USD/h (-{part:.1f} %)"
    return replace(row, unit=unit, text=f"{_describe_step(row)} {effect}")


def _describe_step(row: BindingRow) -> str:
    if row.row.startswith(_POOL_PREFIX):
        noun = "machine" if row.step == 1 else "machines"
        return f"{row.step:g} more {noun} of {row.row.removeprefix(_POOL_PREFIX)}"
    return f"{row.step:.2f} USD/h more budget"


def list_assumptions(request: RentalRequest, machines: Iterable[PlannedMachine]) -> tuple[str, ...]:
    """Return what the plan takes for granted about the offers it rents."""
    rented = {machine.offer_id for machine in machines}
    used = [offer for offer in request.offers if offer.id in rented]
    return (*_note_stock(request, used), *_note_spot(request, used))


def _note_stock(request: RentalRequest, used: list[Offer]) -> tuple[str, ...]:
    unknown = sum(offer.available_count is None for offer in used)
    if not unknown:
        return ()
    count = request.options.default_available_count
    verb = "does" if unknown == 1 else "do"
    return (f"{unknown} of {len(used)} rented offers {verb} not say how many machines can be had: {count} are assumed",)


def _note_spot(request: RentalRequest, used: list[Offer]) -> tuple[str, ...]:
    share = request.options.spot_max_share
    if share >= 1.0 or not any(offer.market is Market.SPOT for offer in used):
        return ()
    return (f"spot machines serve at most {100.0 * share:g} % of every class",)
