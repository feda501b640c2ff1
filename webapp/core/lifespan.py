"""ASGI lifespan: the web process starts its relay before the first request and stops it after the last."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from webapp.core.relay import relay

logger = logging.getLogger(__name__)

Message = Mapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def run_lifespan(_scope: Message, receive: Receive, send: Send) -> None:
    """Answer the server's start and stop messages."""
    await receive()  # lifespan.startup
    task = asyncio.create_task(relay.run(), name="event-relay")
    task.add_done_callback(_report_end)
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    task.cancel()
    await asyncio.wait([task])  # how it ended was reported
    await send({"type": "lifespan.shutdown.complete"})


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("the event relay ended: pages get no live updates until a restart", exc_info=error)
