"""The seed table holds real offers of every accelerator the product promises, and nothing that is refused."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from engine.domain.gpu_catalog import get_gpu_spec
from engine.domain.hardware import DeviceKind
from engine.domain.offer import Market, Offer
from engine.market.seed import read_seed_table

_NOW = datetime(2026, 11, 25, tzinfo=UTC)
_PROMISED_GPUS = {
    "T4", "L4", "A10G", "L40S", "A40", "A6000", "RTX4090", "A100-40", "A100-80", "H100", "H200", "B200", "MI300X",
}  # fmt: skip


@pytest.fixture(scope="module")
def offers() -> tuple[Offer, ...]:
    """All offers of the table."""
    return read_seed_table(now=_NOW).offers


class TestReadSeedTable:
    """The seed table..."""

    def test_has_no_refused_row(self) -> None:
        assert read_seed_table(now=_NOW).refused == ()

    def test_holds_enough_offers_of_enough_providers(self, offers: tuple[Offer, ...]) -> None:
        assert len(offers) >= 120
        assert len({offer.provider for offer in offers}) >= 10

    def test_covers_every_promised_gpu(self, offers: tuple[Offer, ...]) -> None:
        assert {offer.gpu_name for offer in offers} >= _PROMISED_GPUS

    def test_holds_both_markets(self, offers: tuple[Offer, ...]) -> None:
        counts = Counter(offer.market for offer in offers)
        assert counts[Market.ON_DEMAND] >= 100
        assert counts[Market.SPOT] >= 50

    def test_holds_each_offer_once(self, offers: tuple[Offer, ...]) -> None:
        assert len({offer.id for offer in offers}) == len(offers)

    def test_holds_gpus_only(self, offers: tuple[Offer, ...]) -> None:
        assert {get_gpu_spec(offer.gpu_name).kind for offer in offers} == {DeviceKind.GPU}

    def test_asks_plausible_prices(self, offers: tuple[Offer, ...]) -> None:
        # The table's own extremes are 0.19 (a spot T4) and 14.24 USD (a B200 at AWS) per GPU-hour.
        assert all(0.1 <= offer.usd_per_gpu_hour <= 15.0 for offer in offers)

    def test_sells_spot_below_on_demand(self, offers: tuple[Offer, ...]) -> None:
        on_demand = {
            (offer.provider, offer.instance_type): offer.usd_per_hour
            for offer in offers
            if offer.market is Market.ON_DEMAND
        }
        spot = [offer for offer in offers if offer.market is Market.SPOT]
        dear = [
            offer.id
            for offer in spot
            if offer.usd_per_hour >= on_demand.get((offer.provider, offer.instance_type), float("inf"))
        ]
        assert dear == []

    def test_names_the_saving_that_a_spot_price_of_aws_was_computed_with(self, offers: tuple[Offer, ...]) -> None:
        by_id = {offer.id: offer for offer in offers}
        offer = by_id["aws:us-east-1:g4dn.12xlarge:spot"]
        assert offer.usd_per_hour == pytest.approx(3.912 * 0.36)
        assert "on-demand 3.912 USD/h of 2025-06-23 less 64 % saving" in offer.source
        assert offer.interruption_class == 2

    def test_keeps_the_list_price_of_aws(self, offers: tuple[Offer, ...]) -> None:
        by_id = {offer.id: offer for offer in offers}
        offer = by_id["aws:us-east-1:p5.48xlarge:on_demand"]
        assert (offer.gpu_name, offer.gpu_count, offer.usd_per_hour) == ("H100", 8, 55.04)
        assert offer.observed_at == datetime(2026, 7, 20, 13, 44, 30, tzinfo=UTC)
