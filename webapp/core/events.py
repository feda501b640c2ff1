"""The outbox: a change and its event are written in one transaction; the relay carries events to browsers.

On PostgreSQL a transaction with a smaller event id may commit after one with a larger id. Every emitter
therefore holds a shared advisory lock until it ends: the relay sees in `pg_locks` who may still fill a gap,
and waits exactly as long as one of them lives (see `webapp.core.relay`). Shared locks never block each other.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction

from webapp.core.models import Event

EMIT_LOCK_KEY: Final = 1297367372  # any number, only ours: the letters MTDL; fits the 31 bits of one lock key
NOTIFY_CHANNEL: Final = "medley_events"
RETENTION: Final = timedelta(days=2)  # a browser that slept longer reloads its page anyway
_DELETE_BATCH: Final = 10_000  # keeps SQLite's write lock short


@transaction.atomic
def emit(*, topic: str, kind: str, payload: Mapping[str, object], now: datetime) -> Event:
    """Append one event, in the transaction of the change it tells about.

    Args:
        topic: what browsers subscribe to: `plan-request:7`, `plan-requests`, `deployment:demo`, `market`.
        kind: what happened, one word or two, e.g. `state` or `telemetry`.
        payload: JSON-able data; small, a browser gets it as it stands.
    """
    if connection.vendor == "postgresql":
        _announce_on_postgresql()
    return Event.objects.create(created_at=now, topic=topic, kind=kind, payload=dict(payload))


def _announce_on_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [EMIT_LOCK_KEY])
        cursor.execute("SELECT pg_notify(%s, '')", [NOTIFY_CHANNEL])  # sent by the server when this commits


def delete_old_events(*, now: datetime, retention: timedelta = RETENTION) -> int:
    """Delete events older than `retention`; return how many went."""
    oldest_kept = now - retention
    num_deleted = 0
    while ids := list(Event.objects.filter(created_at__lt=oldest_kept).values_list("pk", flat=True)[:_DELETE_BATCH]):
        num_deleted += Event.objects.filter(pk__gte=min(ids), pk__lte=max(ids), created_at__lt=oldest_kept).delete()[0]
    return num_deleted
