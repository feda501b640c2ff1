"""WebSocket `/ws/events/`: events of the asked topics, in order, each exactly once, from a bookmark on."""

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Max, Min

from webapp.core.models import Event, User
from webapp.core.numbers import find_number
from webapp.core.relay import define_group, relay

_MAX_TOPICS: Final = 32
_BATCH: Final = 500  # events read from the table at once
_CLOSE_BAD_REQUEST: Final = 4400
_CLOSE_ANONYMOUS: Final = 4401


def read_events(*, topics: tuple[str, ...], after: int, upto: int) -> list[dict[str, object]]:
    """Return the next events of `topics` with after < id <= upto, in id order."""
    rows = Event.objects.filter(topic__in=topics, pk__gt=after, pk__lte=upto).order_by("pk")[:_BATCH]
    return [
        {"id": row.pk, "topic": row.topic, "kind": row.kind, "payload": row.payload, "created_at": row.created_at}
        for row in rows
    ]


def has_lost_events(after: int) -> bool:
    """Return whether events behind the bookmark are gone: deleted by age, or the database was replaced."""
    bounds = Event.objects.aggregate(oldest=Min("pk"), newest=Max("pk"))
    oldest, newest = bounds["oldest"] or 1, bounds["newest"] or 0
    return 0 < after < oldest - 1 or after > newest


class EventConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels ships no types
    """One browser: replays what it missed, then sends what comes."""

    topics: tuple[str, ...] = ()
    sent_id: int | None = None  # None: start where the relay stands

    async def connect(self) -> None:
        """Accept a signed-in person with well-formed parameters."""
        user = self.scope.get("user")
        if not (isinstance(user, User) and user.is_active):
            await self.close(code=_CLOSE_ANONYMOUS)
            return
        if not self._read_query(parse_qs(self.scope["query_string"].decode("ascii", "replace"))):
            await self.close(code=_CLOSE_BAD_REQUEST)
            return
        for topic in self.topics:  # before the first reading, or an event between the two would wait for the next one
            await self.channel_layer.group_add(define_group(topic), self.channel_name)
        await self.accept()
        await self._start()

    def _read_query(self, query: Mapping[str, list[str]]) -> bool:
        self.topics = tuple(dict.fromkeys(query.get("topic", [])))
        after = query.get("after", [""])[-1]
        self.sent_id = find_number(after)
        return 1 <= len(self.topics) <= _MAX_TOPICS and (after == "" or self.sent_id is not None)

    async def _start(self) -> None:
        if self.sent_id is not None and await database_sync_to_async(has_lost_events)(self.sent_id):
            self.sent_id = relay.position
            await self._send_event(
                {"id": self.sent_id, "topic": "", "kind": "reset", "payload": {}, "created_at": None}
            )
        await self._send_missed()

    async def disconnect(self, _code: int) -> None:
        """Leave the groups."""
        for topic in self.topics:
            await self.channel_layer.group_discard(define_group(topic), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore what browsers say: they only listen."""

    async def events_wake(self, _message: Mapping[str, object]) -> None:
        """Send what the relay has passed since the last time."""
        await self._send_missed()

    async def _send_missed(self) -> None:
        if self.sent_id is None:
            self.sent_id = relay.position
        while (upto := relay.position) is not None and self.sent_id is not None and self.sent_id < upto:
            rows = await database_sync_to_async(read_events)(topics=self.topics, after=self.sent_id, upto=upto)
            for row in rows:
                await self._send_event(row)
            self.sent_id = upto if len(rows) < _BATCH else int(str(rows[-1]["id"]))

    async def _send_event(self, event: Mapping[str, object]) -> None:
        await self.send(text_data=json.dumps(event, cls=DjangoJSONEncoder))
