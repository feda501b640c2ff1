"""Reading the market: snapshots, filters, orders."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from engine.domain import offer as engine_offer
from engine.domain.offer import Market
from webapp.market import selectors, services
from webapp.market.selectors import OfferFilter, OfferSort

MakeOffer = Callable[..., engine_offer.Offer]
pytestmark = pytest.mark.django_db


@pytest.fixture
def market(make_offer: MakeOffer, now: datetime) -> dict[str, engine_offer.Offer]:
    """Four offers: two providers, two GPUs, one spot; named by instance type."""
    offers = [
        make_offer(instance_type="h8", usd_per_hour=40.0),
        make_offer(instance_type="h8", usd_per_hour=10.0, market=Market.SPOT, interruption_class=3),
        make_offer(instance_type="t1", gpu_name="T4", gpu_count=1, usd_per_hour=0.53, provider="gcp", region="eu"),
        make_offer(
            instance_type="t4", gpu_name="T4", gpu_count=4, usd_per_hour=1.0, observed_at=now - timedelta(minutes=5)
        ),
    ]
    services.load_offers(source="test", offers=offers, refused=(), now=now)
    return {f"{offer.instance_type}-{offer.market}": offer for offer in offers}


def _list(now: datetime, **filters: object) -> list[str]:
    found = selectors.list_current_offers(filters=OfferFilter(**filters), now=now)  # type: ignore[arg-type]
    return [f"{offer.instance_type}-{offer.market}" for offer in found]


@pytest.mark.usefixtures("market")
class TestListCurrentOffers:
    """The current offers..."""

    def test_come_cheapest_gpu_first(self, now: datetime) -> None:
        assert _list(now) == ["t4-on_demand", "t1-on_demand", "h8-spot", "h8-on_demand"]

    def test_tell_price_per_gpu_and_age(self, now: datetime) -> None:
        offer = selectors.list_current_offers(filters=OfferFilter(gpu_name="H100", market="spot"), now=now)[0]
        assert offer.usd_per_hour == Decimal(10)
        assert offer.usd_per_gpu_hour == Decimal("1.25")
        assert offer.age_s == 7200.0
        assert (offer.interruption_class, offer.source, offer.available_count) == (3, "price list", None)

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"gpu_name": "T4"}, ["t4-on_demand", "t1-on_demand"]),
            ({"provider": "gcp"}, ["t1-on_demand"]),
            ({"region": "eu"}, ["t1-on_demand"]),
            ({"market": "spot"}, ["h8-spot"]),
            ({"gpu_name": "T4", "provider": "aws"}, ["t4-on_demand"]),
            ({"gpu_name": "L4"}, []),
            ({"max_usd_per_hour": Decimal("1.00")}, ["t4-on_demand", "t1-on_demand"]),
            ({"max_usd_per_hour": Decimal("0.99")}, ["t1-on_demand"]),
            ({"max_usd_per_gpu_hour": Decimal("1.25")}, ["t4-on_demand", "t1-on_demand", "h8-spot"]),
            ({"max_usd_per_gpu_hour": Decimal("1.24")}, ["t4-on_demand", "t1-on_demand"]),
            ({"max_usd_per_gpu_hour": Decimal("0.3")}, ["t4-on_demand"]),
        ],
    )
    def test_pass_filters(self, filters: dict[str, object], expected: list[str], now: datetime) -> None:
        assert _list(now, **filters) == expected

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            (OfferSort.USD_PER_GPU_HOUR, ["t4-on_demand", "t1-on_demand", "h8-spot", "h8-on_demand"]),
            (OfferSort.USD_PER_HOUR, ["t1-on_demand", "t4-on_demand", "h8-spot", "h8-on_demand"]),
            (OfferSort.GPU, ["h8-on_demand", "h8-spot", "t4-on_demand", "t1-on_demand"]),
            (OfferSort.PROVIDER, ["h8-on_demand", "h8-spot", "t4-on_demand", "t1-on_demand"]),
            (OfferSort.AGE, ["t4-on_demand", "h8-on_demand", "h8-spot", "t1-on_demand"]),
        ],
    )
    def test_come_in_the_order_asked_for(self, sort: OfferSort, expected: list[str], now: datetime) -> None:
        assert _list(now, sort=sort) == expected

    def test_come_backwards(self, now: datetime) -> None:
        assert _list(now, is_descending=True) == ["h8-on_demand", "h8-spot", "t1-on_demand", "t4-on_demand"]
        assert _list(now, sort=OfferSort.AGE, is_descending=True)[-1] == "t4-on_demand"

    def test_show_the_latest_price_only(self, make_offer: MakeOffer, now: datetime) -> None:
        again = make_offer(instance_type="h8", usd_per_hour=2.4, observed_at=now)
        services.load_offers(source="test", offers=[again], refused=(), now=now)
        assert _list(now)[0] == "t4-on_demand"
        assert _list(now, max_usd_per_hour=Decimal("2.4")) == ["t4-on_demand", "h8-on_demand", "t1-on_demand"]

    def test_take_one_query(self, now: datetime, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(1):
            selectors.list_current_offers(filters=OfferFilter(), now=now)


class TestListSnapshotOffers:
    """A snapshot..."""

    def test_shows_each_offer_as_it_stood_then(self, make_offer: MakeOffer, now: datetime) -> None:
        first = make_offer(usd_per_hour=40.0, available_count=2)
        second = make_offer(usd_per_hour=35.0, observed_at=first.observed_at + timedelta(hours=1))
        services.load_offers(source="test", offers=[first, second], refused=(), now=now)
        before = first.observed_at - timedelta(microseconds=1)
        assert selectors.list_snapshot_offers(as_of=before) == ()
        assert selectors.list_snapshot_offers(as_of=first.observed_at) == (first,)
        assert selectors.list_snapshot_offers(as_of=second.observed_at - timedelta(seconds=1)) == (first,)
        assert selectors.list_snapshot_offers(as_of=now) == (second,)

    def test_lets_the_row_written_later_win_at_one_instant(self, make_offer: MakeOffer, now: datetime) -> None:
        first = make_offer(source="one")
        second = make_offer(source="two", usd_per_hour=39.0)
        services.load_offers(source="test", offers=[first], refused=(), now=now)
        services.load_offers(source="test", offers=[second], refused=(), now=now)
        assert selectors.list_snapshot_offers(as_of=now) == (second,)

    def test_keeps_to_providers_regions_and_market(self, market: dict[str, engine_offer.Offer], now: datetime) -> None:
        assert {offer.provider for offer in selectors.list_snapshot_offers(as_of=now, providers=["gcp"])} == {"gcp"}
        found = selectors.list_snapshot_offers(as_of=now, regions=["us-east-1"], allows_spot=False)
        assert found == (market["h8-on_demand"], market["t4-on_demand"])
        assert len(selectors.list_snapshot_offers(as_of=now)) == 4


class TestListFilterChoices:
    """The choices..."""

    def test_are_what_occurs_sorted(self, market: dict[str, engine_offer.Offer]) -> None:
        choices = selectors.list_filter_choices()
        assert choices.gpu_names == ("H100", "T4")
        assert choices.providers == ("aws", "gcp")
        assert choices.regions == ("eu", "us-east-1")
        assert choices.markets == ("on_demand", "spot")

    def test_are_empty_without_a_market(self) -> None:
        assert selectors.list_filter_choices().providers == ()


class TestListImports:
    """The loads..."""

    def test_come_newest_first_and_bounded(self, now: datetime) -> None:
        for minutes in range(3):
            services.load_offers(source=f"load {minutes}", offers=(), refused=(), now=now + timedelta(minutes=minutes))
        assert [row.source for row in selectors.list_imports(limit=2)] == ["load 2", "load 1"]
