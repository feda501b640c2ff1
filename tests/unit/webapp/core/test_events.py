"""The outbox."""

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from webapp.core import events
from webapp.core.models import Event

pytestmark = pytest.mark.django_db


class TestEmit:
    def test_appends_what_browsers_get(self, now: datetime) -> None:
        events.emit(topic="deployment:demo", kind="state", payload={"state": "live"}, now=now)
        event = Event.objects.get()
        assert (event.topic, event.kind, event.payload) == ("deployment:demo", "state", {"state": "live"})
        assert event.created_at == now
        assert str(event) == "deployment:demo state"

    def test_orders_by_id(self, now: datetime) -> None:
        first, second = (events.emit(topic="market", kind="loaded", payload={}, now=now) for _ in range(2))
        assert first.pk < second.pk

    def test_goes_with_a_transaction_that_fails(self, now: datetime) -> None:
        with transaction.atomic():
            events.emit(topic="market", kind="loaded", payload={}, now=now)
            transaction.set_rollback(True)
        assert Event.objects.count() == 0


class TestDeleteOldEvents:
    def test_deletes_what_is_older_than_the_retention(self, now: datetime) -> None:
        ages = (timedelta(days=3), timedelta(days=2, seconds=1), timedelta(days=2), timedelta(0))
        kept = [events.emit(topic="market", kind="loaded", payload={}, now=now - age) for age in ages][2:]
        assert events.delete_old_events(now=now) == 2
        assert list(Event.objects.order_by("pk")) == kept

    def test_works_through_batches(self, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events, "_DELETE_BATCH", 2)
        for age in (5, 0, 5, 5, 0, 5, 5):
            events.emit(topic="market", kind="loaded", payload={}, now=now - timedelta(days=age))
        assert events.delete_old_events(now=now) == 5
        assert Event.objects.count() == 2
