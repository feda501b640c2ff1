"""The WebSocket of events: who may listen, and that nothing is missed, repeated or out of order."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser

from webapp.core import events
from webapp.core.consumers import EventConsumer, has_lost_events
from webapp.core.models import Event, Role, User

RunRelay = Callable[[], AbstractAsyncContextManager[None]]
VIEWER = User(username="viewer", role=Role.VIEWER)


class Browser(ApplicationCommunicator):
    """A page's WebSocket. (Channels' own browser needs daphne, which the console does without.)"""

    def __init__(self, query: str, user: object = VIEWER) -> None:
        scope = {"type": "websocket", "path": "/ws/events/", "query_string": query.encode(), "user": user}
        super().__init__(EventConsumer.as_asgi(), scope)

    async def connect(self) -> int | None:
        """Ask for the connection; return the code it was refused with, or None."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout=5)
        if answer["type"] == "websocket.accept":
            return None
        assert answer["type"] == "websocket.close"
        return answer["code"]

    async def receive(self) -> dict[str, Any]:
        """Return the next event."""
        message = await self.receive_output(timeout=5)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def receive_numbers(self, count: int) -> list[int]:
        """Return what the next events carry."""
        return [(await self.receive())["payload"]["number"] for _ in range(count)]

    async def leave(self) -> None:
        """Close the connection."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=5)


def _ask(*topics: str, after: int | str = "") -> str:
    return urlencode([*(("topic", topic) for topic in topics), ("after", after)])


def _emit_now(topic: str, number: int, now: datetime) -> int:
    return events.emit(topic=topic, kind="state", payload={"number": number}, now=now).pk


_emit = database_sync_to_async(_emit_now)


@pytest.mark.django_db(transaction=True)  # channels looks after the thread's connections
@pytest.mark.usefixtures("fast_relay")
class TestConnect:
    @pytest.mark.parametrize("user", [None, AnonymousUser(), User(username="gone", is_active=False)])
    async def test_refuses_strangers(self, user: object) -> None:
        assert await Browser(_ask("market"), user).connect() == 4401

    @pytest.mark.parametrize(
        "query",
        ["", "after=3", _ask(*(f"t{number}" for number in range(33))), "topic=market&after=x", "topic=market&after=-1",
         "topic=market&after=%C2%B2", f"topic=market&after={'9' * 5000}"],
    )  # fmt: skip
    async def test_refuses_what_it_cannot_read(self, query: str) -> None:
        assert await Browser(query).connect() == 4400

    async def test_takes_as_many_topics_as_a_page_needs(self) -> None:
        browser = Browser("&".join(f"topic=t{number}" for number in range(32)))
        assert await browser.connect() is None
        await browser.leave()


@pytest.mark.django_db(transaction=True)
class TestEventConsumer:
    async def test_sends_what_comes(self, run_relay: RunRelay, now: datetime) -> None:
        async with run_relay():
            browser = Browser(_ask("deployment:demo"))
            assert await browser.connect() is None
            event_id = await _emit("deployment:demo", 1, now)
            assert await browser.receive() == {
                "id": event_id,
                "topic": "deployment:demo",
                "kind": "state",
                "payload": {"number": 1},
                "created_at": "2026-11-24T12:00:00Z",
            }
            await browser.leave()

    async def test_sends_only_the_topics_asked_for(self, run_relay: RunRelay, now: datetime) -> None:
        async with run_relay():
            browser = Browser(_ask("deployment:a", "deployment:b"))
            assert await browser.connect() is None
            for number, topic in enumerate(("deployment:c", "deployment:a", "deployment", "deployment:b")):
                await _emit(topic, number, now)
            assert await browser.receive_numbers(2) == [1, 3]
            assert await browser.receive_nothing(timeout=0.02)
            await browser.leave()

    async def test_replays_from_the_bookmark(self, run_relay: RunRelay, now: datetime) -> None:
        ids = [await _emit("market", number, now) for number in range(5)]
        async with run_relay():
            browser = Browser(_ask("market", after=ids[1]))
            assert await browser.connect() is None
            assert await browser.receive_numbers(3) == [2, 3, 4]
            await _emit("market", 5, now)
            assert await browser.receive_numbers(1) == [5]
            assert await browser.receive_nothing(timeout=0.02)
            await browser.leave()

    async def test_replays_in_batches(
        self, run_relay: RunRelay, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("webapp.core.consumers._BATCH", 2)
        first = await _emit("market", -1, now)
        for number in range(5):
            await _emit("market", number, now)
        async with run_relay():
            browser = Browser(_ask("market", after=first))
            assert await browser.connect() is None
            assert await browser.receive_numbers(5) == [0, 1, 2, 3, 4]
            await browser.leave()

    async def test_loses_nothing_over_a_reconnect(self, run_relay: RunRelay, now: datetime) -> None:
        seen: list[int] = []
        async with run_relay():
            first = await _emit("market", -1, now)
            browser = Browser(_ask("market", after=first))
            assert await browser.connect() is None
            await _emit("market", 0, now)
            latest: dict[str, Any] = await browser.receive()
            seen.append(latest["payload"]["number"])
            await browser.leave()
            for number in (1, 2):
                await _emit("market", number, now)
            browser = Browser(_ask("market", after=latest["id"]))
            assert await browser.connect() is None
            await _emit("market", 3, now)
            seen += await browser.receive_numbers(3)
            await browser.leave()
        assert seen == [0, 1, 2, 3]

    async def test_tells_a_page_to_start_anew_when_its_bookmark_is_gone(
        self, run_relay: RunRelay, now: datetime
    ) -> None:
        first = await _emit("market", 0, now - timedelta(days=5))
        await _emit("market", 1, now - timedelta(days=5))
        kept = await _emit("market", 2, now)
        await database_sync_to_async(events.delete_old_events)(now=now)
        async with run_relay():
            browser = Browser(_ask("market", after=first))
            assert await browser.connect() is None
            reset = await browser.receive()
            assert (reset["kind"], reset["id"], reset["topic"]) == ("reset", kept, "")
            await _emit("market", 3, now)
            assert await browser.receive_numbers(1) == [3]
            await browser.leave()

    async def test_ignores_what_browsers_say(self, run_relay: RunRelay, now: datetime) -> None:
        async with run_relay():
            browser = Browser(_ask("market"))
            assert await browser.connect() is None
            await browser.send_input({"type": "websocket.receive", "text": "hello"})
            await browser.send_input({"type": "websocket.receive", "bytes": b"\x00"})
            await _emit("market", 1, now)
            assert await browser.receive_numbers(1) == [1]
            await browser.leave()


@pytest.mark.django_db
class TestHasLostEvents:
    def test_knows_bookmarks_that_still_hold(self, now: datetime) -> None:
        first, second = _emit_now("market", 0, now), _emit_now("market", 1, now)
        assert not has_lost_events(0)
        assert not has_lost_events(first - 1)
        assert not has_lost_events(first)
        assert not has_lost_events(second)

    def test_knows_those_that_do_not(self, now: datetime) -> None:
        events_made = [_emit_now("market", number, now) for number in range(4)]
        Event.objects.filter(pk__in=events_made[:3]).delete()
        assert has_lost_events(events_made[0])
        assert not has_lost_events(events_made[2])
        assert has_lost_events(events_made[3] + 1)
