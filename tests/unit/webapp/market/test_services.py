"""Loads of offers: append-only, once each, with a report."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from pytest_django import Settings

from engine.domain import offer as engine_offer
from engine.domain.offer import Market
from engine.market.offer_table import InvalidOfferTableError, RefusedRow
from webapp.core.models import AuditEntry, Event, User
from webapp.market import services
from webapp.market.models import MarketImport, Offer, OfferObservation

MakeOffer = Callable[..., engine_offer.Offer]
pytestmark = pytest.mark.django_db


def _load(*offers: engine_offer.Offer, now: datetime) -> MarketImport:
    return services.load_offers(source="test", offers=offers, refused=(), now=now)


def _list_prices(offer_id: str) -> list[Decimal]:
    rows = OfferObservation.objects.filter(offer__offer_id=offer_id).order_by("observed_at", "pk")
    return list(rows.values_list("usd_per_hour", flat=True))


class TestLoadOffers:
    """A load of offers..."""

    def test_makes_offer_and_observation(self, make_offer: MakeOffer, now: datetime) -> None:
        report = _load(make_offer(interruption_class=2, market=Market.SPOT, available_count=5), now=now)
        assert (report.num_loaded, report.num_unchanged, report.refused) == (1, 0, [])
        row = Offer.objects.get()
        assert (row.provider, row.gpu_name, row.gpu_count, row.market) == ("aws", "H100", 8, "spot")
        assert row.interruption_class == 2
        assert row.latest is not None
        assert (row.latest.usd_per_hour, row.latest.available_count) == (Decimal("40.000000"), 5)

    def test_appends_a_new_price_and_keeps_the_old_one(self, make_offer: MakeOffer, now: datetime) -> None:
        old = make_offer()
        new = make_offer(usd_per_hour=35.0, observed_at=old.observed_at + timedelta(minutes=1))
        _load(old, now=now)
        _load(new, now=now)
        assert _list_prices(old.id) == [Decimal(40), Decimal(35)]
        assert Offer.objects.get().latest == OfferObservation.objects.get(usd_per_hour=35)

    def test_changes_nothing_the_second_time(self, make_offer: MakeOffer, now: datetime) -> None:
        _load(make_offer(), now=now)
        report = _load(make_offer(), now=now)
        assert (report.num_loaded, report.num_unchanged) == (0, 1)
        assert OfferObservation.objects.count() == 1

    def test_skips_a_repeated_price_within_the_hour(self, make_offer: MakeOffer, now: datetime) -> None:
        first = make_offer()
        _load(first, now=now)
        report = _load(make_offer(observed_at=first.observed_at + timedelta(minutes=59)), now=now)
        assert report.num_loaded == 0

    def test_keeps_a_repeated_price_after_the_hour(self, make_offer: MakeOffer, now: datetime) -> None:
        first = make_offer()
        _load(first, now=now)
        report = _load(make_offer(observed_at=first.observed_at + timedelta(hours=1)), now=now)
        assert report.num_loaded == 1

    def test_keeps_a_changed_stock_at_once(self, make_offer: MakeOffer, now: datetime) -> None:
        first = make_offer(available_count=3)
        _load(first, now=now)
        later = first.observed_at + timedelta(seconds=1)
        assert _load(make_offer(available_count=0, observed_at=later), now=now).num_loaded == 1

    def test_keeps_an_older_observation_without_moving_the_latest(self, make_offer: MakeOffer, now: datetime) -> None:
        new = make_offer()
        _load(new, now=now)
        report = _load(make_offer(usd_per_hour=50.0, observed_at=new.observed_at - timedelta(days=1)), now=now)
        assert report.num_loaded == 1
        latest = Offer.objects.get().latest
        assert latest is not None
        assert latest.usd_per_hour == 40

    def test_takes_two_instants_of_one_offer_in_one_load(self, make_offer: MakeOffer, now: datetime) -> None:
        first = make_offer()
        second = make_offer(usd_per_hour=41.0, observed_at=first.observed_at + timedelta(hours=1))
        report = _load(second, first, now=now)
        assert report.num_loaded == 2
        latest = Offer.objects.get().latest
        assert latest is not None
        assert latest.usd_per_hour == 41

    def test_refuses_another_machine_under_a_known_id(self, make_offer: MakeOffer, now: datetime) -> None:
        _load(make_offer(), now=now)
        report = _load(make_offer(gpu_name="A100-80", usd_per_hour=20.0), make_offer(zone="a"), now=now)
        assert (report.num_loaded, report.num_unchanged) == (1, 0)
        [refused] = report.refused
        assert (refused["row"], refused["field"]) == (0, "gpu")
        assert refused["message"].startswith(
            "aws:us-east-1:p5.48xlarge:on_demand is known with 8 x H100, not 8 x A100-80"
        )
        assert _list_prices(make_offer().id) == [Decimal(40)]

    def test_reports_refused_rows(self, make_offer: MakeOffer, now: datetime) -> None:
        refused = (RefusedRow(row=3, field="usd_per_hour", message="usd_per_hour is 0"),)
        report = services.load_offers(source="feed", offers=(make_offer(),), refused=refused, now=now)
        report.refresh_from_db()
        assert report.refused == [{"row": 3, "field": "usd_per_hour", "message": "usd_per_hour is 0"}]
        assert (report.source, report.started_at) == ("feed", now)

    def test_tells_browsers_only_when_something_is_new(self, make_offer: MakeOffer, now: datetime) -> None:
        _load(make_offer(), now=now)
        _load(make_offer(), now=now)
        [event] = Event.objects.all()
        assert (event.topic, event.kind) == ("market", "loaded")
        assert event.payload == {"source": "test", "num_loaded": 1}

    def test_takes_no_offers(self, now: datetime) -> None:
        report = _load(now=now)
        assert (report.num_loaded, report.num_unchanged) == (0, 0)
        assert Event.objects.count() == 0

    @pytest.mark.slow
    def test_takes_more_offers_than_one_statement_holds(self, make_offer: MakeOffer, now: datetime) -> None:
        offers = [make_offer(instance_type=f"type-{number}") for number in range(1201)]
        assert _load(*offers, now=now).num_loaded == 1201
        assert _load(*offers, now=now).num_unchanged == 1201

    def test_is_bounded_by_the_database_too(self, make_offer: MakeOffer, now: datetime) -> None:
        _load(make_offer(), now=now)
        row = Offer.objects.get()
        with pytest.raises(IntegrityError), transaction.atomic():
            OfferObservation.objects.create(offer=row, usd_per_hour=0, source="x", observed_at=now)
        with pytest.raises(IntegrityError), transaction.atomic():
            Offer.objects.filter(pk=row.pk).update(gpu_count=0)


class TestLoadSeed:
    """The seed table..."""

    @pytest.mark.slow
    def test_is_loaded_once(self, now: datetime) -> None:
        first = services.load_seed(now=now)
        second = services.load_seed(now=now)
        assert first.num_loaded >= 120
        assert first.refused == []
        assert (second.num_loaded, second.num_unchanged) == (0, first.num_loaded)


class TestImportOfferTable:
    """A table that a person gave..."""

    _CSV = (
        "provider,region,instance_type,gpu,gpu_count,market,usd_per_hour,source,observed_at\n"
        "aws,us-east-1,p5.48xlarge,H100,8,on_demand,55.04,list,2026-07-20\n"
        "aws,us-east-1,p4d.24xlarge,A100-40,8,on_demand,0,list,2026-07-20\n"
    )

    def test_is_loaded_without_its_bad_rows_and_audited(self, admin: User, now: datetime) -> None:
        report = services.import_offer_table(actor=admin, name="my table", csv_text=self._CSV, now=now)
        assert report.num_loaded == 1
        assert [row["row"] for row in report.refused] == [3]
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action, entry.object_id) == (admin, "market.import", str(report.pk))
        assert entry.detail == {"source": "my table", "num_loaded": 1, "num_refused": 1}

    def test_changes_nothing_when_it_cannot_be_read(self, admin: User, now: datetime) -> None:
        with pytest.raises(InvalidOfferTableError):
            services.import_offer_table(actor=admin, name="my table", csv_text="a,b\n1,2\n", now=now)
        assert (Offer.objects.count(), MarketImport.objects.count(), AuditEntry.objects.count()) == (0, 0, 0)


class TestRefreshLocalOffers:
    """The offer of this host..."""

    def test_carries_the_configured_price(self, settings: Settings, now: datetime) -> None:
        settings.MEDLEY_LOCAL_USD_PER_SLOT_HOUR = 0.05
        report = services.refresh_local_offers(now=now)
        assert report is not None
        assert report.num_loaded == 1
        row = Offer.objects.get()
        assert row.offer_id == "local:this-host:cpu-slot:on_demand"
        assert row.latest is not None
        assert row.latest.usd_per_hour == Decimal("0.050000")
        assert row.latest.available_count is not None
        assert row.latest.available_count >= 2

    def test_leaves_no_trace_when_nothing_is_new(self, now: datetime) -> None:
        services.refresh_local_offers(now=now)
        assert services.refresh_local_offers(now=now + timedelta(minutes=1)) is None
        assert (MarketImport.objects.count(), OfferObservation.objects.count()) == (1, 1)

    def test_follows_a_changed_price(self, settings: Settings, now: datetime) -> None:
        services.refresh_local_offers(now=now)
        settings.MEDLEY_LOCAL_USD_PER_SLOT_HOUR = 0.07
        services.refresh_local_offers(now=now + timedelta(minutes=1))
        assert _list_prices("local:this-host:cpu-slot:on_demand")[-1] == Decimal("0.07")

    def test_is_seen_again_after_an_hour(self, now: datetime) -> None:
        services.refresh_local_offers(now=now)
        assert services.refresh_local_offers(now=now + timedelta(hours=1)) is not None
