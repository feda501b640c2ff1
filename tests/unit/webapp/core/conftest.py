"""The live path of events inside one web process: relay, channel layer, consumers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.db import connections

from webapp.core import relay as relay_module


@pytest.fixture
async def fast_relay(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> AsyncIterator[None]:
    """A relay that polls without leisure, on a channel layer of its own."""
    monkeypatch.setattr(relay_module, "_POLL_S", 0.005)
    monkeypatch.setattr(channel_layers, "backends", {})
    yield
    await sync_to_async(connections.close_all)()  # the worker thread's own, which would outlive the test database


@contextlib.asynccontextmanager
async def _run_relay() -> AsyncIterator[None]:
    task = asyncio.create_task(relay_module.relay.run())
    while relay_module.relay.position is None:
        await asyncio.sleep(0.005)
        assert not task.done(), task.exception()
    yield
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
def run_relay(fast_relay: None) -> object:
    """Return the context in which this process's relay runs."""
    return _run_relay
