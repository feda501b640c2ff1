"""Whether a plan still holds: the offers it was priced with, against the market as it is now."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from engine.domain.offer import Offer
from webapp.core.errors import ConflictError
from webapp.market.mapping import usd_to_decimal
from webapp.market.selectors import list_snapshot_offers
from webapp.planning import mapping, states, stock
from webapp.planning.models import Plan, PlanState
from webapp.planning.stock import CountTaken
from webapp.planning.transitions import lock_plan_request, move_locked

PRICE_TOLERANCE: Final = Decimal("0.05")  # relative; beyond it another plan may be the best one


class StalePlanError(ConflictError):
    """The market moved away from the plan, which is now stale: solve it again."""

    code = "stale_plan"


def check_fresh(*, plan_request_id: int, now: datetime, count_taken: CountTaken = stock.count_nothing) -> None:
    """Return when the market still has what the plan needs at about its price; else make the plan stale.

    Must not run inside a transaction: the move to stale has to stay when the error passes through.

    Args:
        count_taken: counts what other deployments have of the stock; the plan cannot have it.
    Raises:
        NotFoundError: there is no such plan request.
        StalePlanError: a price moved beyond the tolerance, or too few machines are left; says which.
    """
    reason = _move_if_stale(plan_request_id, now, count_taken)
    if reason:
        raise StalePlanError(
            f"the plan is stale and must be solved again: {reason}", plan_request_id=plan_request_id, reason=reason
        )


@transaction.atomic(durable=True)
def _move_if_stale(plan_request_id: int, now: datetime, count_taken: CountTaken) -> str:
    request = lock_plan_request(plan_request_id)
    if request.state not in states.CAN_GO_STALE:
        return ""  # nothing to apply, or machines are being rented at fixed prices already
    taken = count_taken(deployment_name=request.deployment_name)
    reason = find_stale_reason(request.plan, now=now, taken=taken)
    if reason:
        move_locked(request, to=PlanState.STALE, reason=reason, now=now)
    return reason


def find_stale_reason(plan: Plan, *, now: datetime, taken: Mapping[str, int]) -> str:
    """Return in words what moved since the plan was priced; empty when it still holds.

    Args:
        taken: offer id -> machines that other deployments have.
    """
    needed = Counter(machine.offer_id for machine in mapping.json_to_plan(plan.body).machines)
    offers = stock.subtract_taken(_list_current_offers(plan, now), taken)
    current = {offer.id: offer for offer in offers}
    found = (
        _find_change(offer_id, priced=plan.offers[offer_id], offer=current.get(offer_id), num_needed=count)
        for offer_id, count in sorted(needed.items())
    )
    return " ".join(reason for reason in found if reason)


def _list_current_offers(plan: Plan, now: datetime) -> tuple[Offer, ...]:
    used = plan.offers.values()
    return list_snapshot_offers(
        as_of=now,
        providers=sorted({str(offer["provider"]) for offer in used}),
        regions=sorted({str(offer["region"]) for offer in used}),
    )


def _find_change(offer_id: str, *, priced: Mapping[str, object], offer: Offer | None, num_needed: int) -> str:
    if offer is None:
        return f"{offer_id} is no longer offered."
    before, after = mapping.read_offer_price(priced), usd_to_decimal(offer.usd_per_hour)
    if abs(after - before) > PRICE_TOLERANCE * before:
        return f"{offer_id} went from {before.normalize():f} to {after.normalize():f} USD/h."
    if offer.available_count is not None and offer.available_count < num_needed:
        return f"{offer_id} has {offer.available_count} left, the plan needs {num_needed}."
    return ""
