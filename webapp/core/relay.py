"""The relay: one task per web process that tails the outbox and wakes the browsers' consumers.

It sends only wake-ups through the channel layer; a consumer then reads its own events from the table up to
`position`. A full channel can therefore drop a wake-up without dropping an event.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Final, Protocol

import psycopg
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Max

from webapp.core.event_cursor import EventCursor, EventMark
from webapp.core.events import EMIT_LOCK_KEY, NOTIFY_CHANNEL
from webapp.core.models import Event

logger = logging.getLogger(__name__)

_POLL_S: Final = 0.25  # SQLite has no notifications; also the pace while a gap is watched
_NOTIFY_TIMEOUT_S: Final = 1.0  # a lost notification costs at most this
_RETRY_S: Final = 1.0  # after the database refused
_BATCH: Final = 1000  # events of one reading
_LOOK_BACK: Final = 1000  # ids below the newest one in which a transaction of before the start may still commit

_DJANGO_ONLY: Final = frozenset({"cursor_factory", "context"})  # connection parameters that fit Django's cursors alone

_EMITTERS_SQL: Final = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 0 AND objid = %s AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def define_group(topic: str) -> str:
    """Return the channel group of a topic; group names may not hold what topics hold."""
    return "events." + hashlib.sha256(topic.encode()).hexdigest()[:40]


class Alarm(Protocol):
    """Ends a wait when something may have happened."""

    async def wait(self) -> None:
        """Return soon after a commit, or after the fallback interval."""


class PollAlarm:
    """Rings after a fixed time."""

    async def wait(self) -> None:
        """Sleep for one poll."""
        await asyncio.sleep(_POLL_S)


class NotifyAlarm:
    """Rings when PostgreSQL announces an event."""

    def __init__(self, listener: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        self._listener = listener

    async def wait(self) -> None:
        """Return at the first notification, or after the fallback interval."""
        # Run to its end: a generator left half-way keeps the connection's lock until it is collected.
        async for _ in self._listener.notifies(timeout=_NOTIFY_TIMEOUT_S, stop_after=1):
            pass


def read_marks(after: int) -> list[EventMark]:
    """Return identity and topic of the next events above `after`."""
    rows = Event.objects.filter(pk__gt=after).order_by("pk").values_list("pk", "topic")[:_BATCH]
    return [EventMark(id=pk, topic=topic) for pk, topic in rows]


def read_emitters() -> frozenset[str]:
    """Return the transactions that may still commit an event with an id already passed.

    SQLite has one writer at a time and gives ids inside its transaction, so ids are in commit order.
    """
    if connection.vendor != "postgresql":
        return frozenset()
    with connection.cursor() as cursor:
        cursor.execute(_EMITTERS_SQL, [EMIT_LOCK_KEY])
        return frozenset(row[0] for row in cursor.fetchall())


def make_cursor() -> EventCursor:
    """Return a cursor at the newest event below which nothing can appear any more."""
    return EventCursor(position=_find_start(), read_marks=read_marks, read_emitters=read_emitters)


def _find_start() -> int:
    emitters = read_emitters()
    newest = Event.objects.aggregate(newest=Max("pk"))["newest"] or 0
    if not emitters:
        return newest
    oldest = max(newest - _LOOK_BACK, 0)
    visible = set(Event.objects.filter(pk__gt=oldest).values_list("pk", flat=True))
    return next((pk - 1 for pk in range(oldest + 1, newest + 1) if pk not in visible), newest)


@contextlib.asynccontextmanager
async def open_alarm() -> AsyncIterator[Alarm]:
    """Yield the alarm that fits the database."""
    if connection.vendor != "postgresql":
        yield PollAlarm()
        return
    parameters = connection.get_connection_params()
    own = {key: value for key, value in parameters.items() if key not in _DJANGO_ONLY}
    async with await psycopg.AsyncConnection.connect(autocommit=True, **own) as listener:
        await listener.execute(f"LISTEN {NOTIFY_CHANNEL}")
        yield NotifyAlarm(listener)


class EventRelay:
    """Tails the outbox until it is cancelled."""

    def __init__(self) -> None:
        self._cursor: EventCursor | None = None

    @property
    def position(self) -> int | None:
        """Newest id up to which events may be sent; None while the relay does not run."""
        return None if self._cursor is None else self._cursor.position

    async def run(self) -> None:
        """Relay for ever; a database that goes away is waited for."""
        try:
            while True:
                try:
                    await self._run_connected()
                except (DatabaseError, psycopg.Error, OSError) as error:
                    logger.warning("event relay waits for the database: %s", error)
                    await asyncio.sleep(_RETRY_S)
        finally:
            self._cursor = None

    async def _run_connected(self) -> None:
        async with open_alarm() as alarm:
            if self._cursor is None:  # after a lost connection the old position still holds
                self._cursor = await database_sync_to_async(make_cursor)()
            while True:
                marks = await database_sync_to_async(self._cursor.advance)()
                await self._wake(mark.topic for mark in marks)
                if len(marks) < _BATCH:
                    await (PollAlarm() if self._cursor.is_waiting else alarm).wait()

    async def _wake(self, topics: Iterable[str]) -> None:
        layer = get_channel_layer()
        for topic in dict.fromkeys(topics):
            await layer.group_send(define_group(topic), {"type": "events.wake"})


relay = EventRelay()  # one per process: consumers read its position


def get_position() -> int:
    """Return the event id a page should give as `after`: taken before the page reads its state, nothing is missed."""
    if relay.position is not None:
        return relay.position
    return _find_start()
