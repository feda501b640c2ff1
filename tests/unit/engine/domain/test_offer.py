"""Offers and their identity."""

from datetime import UTC, datetime

from engine.domain.offer import Market, Offer, define_offer_id


class TestDefineOfferId:
    def test_joins_place_type_and_market(self) -> None:
        offer_id = define_offer_id(
            provider="aws", region="us-east-1", zone="", instance_type="p5.48xlarge", market=Market.ON_DEMAND
        )
        assert offer_id == "aws:us-east-1:p5.48xlarge:on_demand"

    def test_names_the_zone_where_there_is_one(self) -> None:
        offer_id = define_offer_id(
            provider="gcp",
            region="us-central1",
            zone="us-central1-a",
            instance_type="a3-highgpu-8g",
            market=Market.SPOT,
        )
        assert offer_id == "gcp:us-central1:us-central1-a:a3-highgpu-8g:spot"


class TestOffer:
    def test_shares_its_price_among_accelerators(self) -> None:
        offer = Offer(
            id="x:y:z:spot",
            provider="x",
            region="y",
            instance_type="z",
            gpu_name="H100",
            gpu_count=8,
            usd_per_hour=20.0,
            market=Market.SPOT,
            available_count=None,
            source="test",
            observed_at=datetime(2026, 11, 24, tzinfo=UTC),
        )
        assert offer.usd_per_gpu_hour == 2.5
