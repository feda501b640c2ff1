"""Whether a plan still holds."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from engine.domain.offer import Market, Offer
from engine.domain.plan import Plan
from webapp.core.errors import NotFoundError
from webapp.core.models import AuditEntry
from webapp.market.models import OfferObservation
from webapp.planning import services, states
from webapp.planning.models import PlanRequest, PlanState

MakePlan = Callable[..., Plan]
MakePlanRequest = Callable[..., PlanRequest]
LoadOffer = Callable[..., Offer]

L4 = {
    "provider": "runpod",
    "region": "eu-1",
    "instance_type": "L4",
    "gpu_name": "L4",
    "gpu_count": 1,
    "market": Market.SPOT,
    "usd_per_hour": 0.25,
}
L4_OFFER = "runpod:eu-1:L4:spot"


@pytest.fixture
def two_l4(make_plan_request: MakePlanRequest, make_plan: MakePlan) -> PlanRequest:
    """A request awaiting approval whose plan rents two of the four L4 machines."""
    return make_plan_request(PlanState.AWAITING_APPROVAL, plan=make_plan([(L4_OFFER, 0.25), (L4_OFFER, 0.25)]))


class TestCheckFresh:
    """`check_fresh`..."""

    @pytest.mark.parametrize(
        ("usd_per_hour", "available_count"),
        [(0.25, 4), (0.25, 2), (0.25, None), (0.2625, 4), (0.2375, 4)],
    )
    def test_accepts_a_market_within_the_tolerance(
        self,
        two_l4: PlanRequest,
        load_offer: LoadOffer,
        usd_per_hour: float,
        available_count: int | None,
        now: datetime,
    ) -> None:
        seen = {**L4, "usd_per_hour": usd_per_hour, "available_count": available_count, "observed_at": now}
        load_offer(**seen)
        services.check_fresh(plan_request_id=two_l4.pk, now=now)
        two_l4.refresh_from_db()
        assert two_l4.state == PlanState.AWAITING_APPROVAL

    @pytest.mark.parametrize(
        ("usd_per_hour", "available_count", "reason"),
        [
            (0.262501, 4, f"{L4_OFFER} went from 0.25 to 0.262501 USD/h."),
            (0.2, 4, f"{L4_OFFER} went from 0.25 to 0.2 USD/h."),
            (0.25, 1, f"{L4_OFFER} has 1 left, the plan needs 2."),
            (0.25, 0, f"{L4_OFFER} has 0 left, the plan needs 2."),
        ],
    )
    def test_moves_to_stale_with_the_reason(
        self,
        two_l4: PlanRequest,
        load_offer: LoadOffer,
        usd_per_hour: float,
        available_count: int,
        reason: str,
        now: datetime,
    ) -> None:
        seen = {**L4, "usd_per_hour": usd_per_hour, "available_count": available_count, "observed_at": now}
        load_offer(**seen)
        with pytest.raises(services.StalePlanError) as caught:
            services.check_fresh(plan_request_id=two_l4.pk, now=now)
        assert caught.value.data["reason"] == reason
        two_l4.refresh_from_db()
        assert (two_l4.state, two_l4.state_reason) == (PlanState.STALE, reason)
        entry = AuditEntry.objects.filter(action="plan-request.move").latest("pk")
        assert entry.detail == {"from": "awaiting_approval", "to": "stale", "reason": reason}

    def test_looks_at_the_market_of_the_asked_instant(
        self, two_l4: PlanRequest, load_offer: LoadOffer, now: datetime
    ) -> None:
        load_offer(**{**L4, "usd_per_hour": 9.0, "observed_at": now + timedelta(hours=1)})
        services.check_fresh(plan_request_id=two_l4.pk, now=now)
        with pytest.raises(services.StalePlanError):
            services.check_fresh(plan_request_id=two_l4.pk, now=now + timedelta(hours=1))

    def test_misses_an_offer_that_is_gone(self, two_l4: PlanRequest, now: datetime) -> None:
        OfferObservation.objects.filter(offer__offer_id=L4_OFFER).delete()
        with pytest.raises(services.StalePlanError, match="no longer offered"):
            services.check_fresh(plan_request_id=two_l4.pk, now=now)

    @pytest.mark.parametrize("state", sorted(set(PlanState) - states.CAN_GO_STALE))
    def test_leaves_states_that_cannot_go_stale(
        self, two_l4: PlanRequest, load_offer: LoadOffer, state: PlanState, now: datetime
    ) -> None:
        PlanRequest.objects.filter(pk=two_l4.pk).update(state=state)
        load_offer(**{**L4, "usd_per_hour": 9.0, "observed_at": now})
        services.check_fresh(plan_request_id=two_l4.pk, now=now)
        two_l4.refresh_from_db()
        assert two_l4.state == state

    @pytest.mark.django_db
    def test_refuses_a_request_that_is_not_there(self, now: datetime) -> None:
        with pytest.raises(NotFoundError):
            services.check_fresh(plan_request_id=5, now=now)
