"""The relay: where it starts, what it wakes, and what it waits for."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import connection, transaction

from webapp.core import events, relay
from webapp.core.models import Event

RunRelay = Callable[[], AbstractAsyncContextManager[None]]


def _emit(now: datetime, topic: str = "market") -> int:
    return events.emit(topic=topic, kind="loaded", payload={}, now=now).pk


class TestDefineGroup:
    def test_fits_what_groups_may_be_called(self) -> None:
        group = relay.define_group("deployment:ümlaut and more" * 10)
        assert group.isascii()
        assert len(group) < 100
        get_channel_layer().require_valid_group_name(group)

    def test_differs_by_topic(self) -> None:
        assert relay.define_group("plan-request:1") != relay.define_group("plan-request:11")


@pytest.mark.django_db(transaction=True)  # a test's own transaction would count as an emitter that still runs
class TestGetPosition:
    def test_is_zero_before_any_event(self) -> None:
        Event.objects.all().delete()
        assert relay.get_position() == 0

    def test_is_the_newest_event_while_no_relay_runs(self, now: datetime) -> None:
        _emit(now)
        newest = _emit(now)
        assert relay.get_position() == newest


@pytest.mark.django_db(transaction=True)
class TestEventRelay:
    async def test_wakes_the_topics_of_new_events(self, run_relay: RunRelay, now: datetime) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(relay.define_group("market"), channel)
        async with run_relay():
            await database_sync_to_async(_emit)(now, "plan-requests")
            newest = await database_sync_to_async(_emit)(now)
            assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "events.wake"}
            assert relay.relay.position == newest

    async def test_starts_behind_what_is_there(self, run_relay: RunRelay, now: datetime) -> None:
        newest = await database_sync_to_async(_emit)(now)
        async with run_relay():
            assert relay.relay.position == newest
        assert relay.relay.position is None

    async def test_outlives_a_database_that_goes_away(
        self, run_relay: RunRelay, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relay, "_RETRY_S", 0.005)
        is_broken = threading.Event()
        read_marks = relay.read_marks

        def fail_while_broken(after: int) -> list[object]:
            if is_broken.is_set():
                is_broken.clear()
                raise relay.DatabaseError("gone")
            return read_marks(after)

        monkeypatch.setattr(relay, "read_marks", fail_while_broken)
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(relay.define_group("market"), channel)
        async with run_relay():
            is_broken.set()
            await database_sync_to_async(_emit)(now)
            await asyncio.wait_for(layer.receive(channel), 5)
            assert not is_broken.is_set()


async def _wait_for_gap() -> None:
    while not relay.relay._cursor.is_waiting:  # noqa: ASYNC110  # the relay announces nothing while it waits
        await asyncio.sleep(0.005)


@pytest.mark.postgres
@pytest.mark.row_locks
@pytest.mark.django_db(transaction=True)
class TestOrderOnPostgresql:
    async def test_waits_for_a_smaller_id_that_commits_later(self, run_relay: RunRelay, now: datetime) -> None:
        has_emitted, may_commit = threading.Event(), threading.Event()

        def emit_slowly() -> None:
            try:
                with transaction.atomic():
                    _emit(now, "slow")
                    has_emitted.set()
                    may_commit.wait(10)
            finally:
                connection.close()

        layer = get_channel_layer()
        channel = await layer.new_channel()
        for topic in ("slow", "fast"):
            await layer.group_add(relay.define_group(topic), channel)
        async with run_relay():
            start = relay.relay.position
            thread = threading.Thread(target=emit_slowly)
            thread.start()
            await asyncio.to_thread(has_emitted.wait, 10)
            fast = await database_sync_to_async(_emit)(now, "fast")
            await asyncio.wait_for(_wait_for_gap(), 5)
            assert relay.relay.position == start
            may_commit.set()
            await asyncio.wait_for(layer.receive(channel), 5)
            await asyncio.wait_for(layer.receive(channel), 5)
            assert relay.relay.position == fast
            await asyncio.to_thread(thread.join)

    async def test_passes_over_a_rollback(self, run_relay: RunRelay, now: datetime) -> None:
        def roll_back() -> None:
            with transaction.atomic():
                _emit(now)
                transaction.set_rollback(True)

        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(relay.define_group("market"), channel)
        async with run_relay():
            await database_sync_to_async(roll_back)()
            newest = await database_sync_to_async(_emit)(now)
            await asyncio.wait_for(layer.receive(channel), 5)
            assert relay.relay.position == newest
