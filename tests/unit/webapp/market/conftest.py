"""Offers to build markets from."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engine.domain.offer import Market, Offer, define_offer_id

MakeOffer = Callable[..., Offer]

_BASE = Offer(
    id="",
    provider="aws",
    region="us-east-1",
    instance_type="p5.48xlarge",
    gpu_name="H100",
    gpu_count=8,
    usd_per_hour=40.0,
    market=Market.ON_DEMAND,
    available_count=None,
    source="price list",
    observed_at=datetime(2026, 11, 24, 10, 0, tzinfo=UTC),
)


@pytest.fixture
def make_offer() -> MakeOffer:
    """Return an offer with some fields changed; its id follows from them."""

    def make(**changes: object) -> Offer:
        offer = replace(_BASE, **changes)
        offer_id = define_offer_id(
            provider=offer.provider,
            region=offer.region,
            zone=offer.zone,
            instance_type=offer.instance_type,
            market=offer.market,
        )
        return replace(offer, id=offer_id)

    return make
