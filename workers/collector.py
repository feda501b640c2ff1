"""The collector process: `python -m workers.collector` measures every two seconds until it is told to end."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.base")

import aiohttp  # noqa: E402  # Django's settings are named first
import django  # noqa: E402  # same reason

django.setup()

from django.conf import settings  # noqa: E402  # models can be imported only after the line above
from django.db import Error as DatabaseError  # noqa: E402  # same reason
from django.utils import timezone  # noqa: E402  # same reason

from webapp.deployments.access import AgentAccess  # noqa: E402  # same reason
from webapp.telemetry.points import RAW_INTERVAL_S  # noqa: E402  # same reason
from webapp.telemetry.rollup import find_interval_end  # noqa: E402  # same reason
from workers.collecting.agent_source import AgentSource  # noqa: E402  # same reason
from workers.collecting.collector import Collector  # noqa: E402  # same reason
from workers.collecting.gateway_source import GatewaySource  # noqa: E402  # same reason
from workers.collecting.store import DatabaseStore  # noqa: E402  # same reason

logger: Final = logging.getLogger("workers.collector")
_DELAY: Final = timedelta(seconds=0.05)  # what finished at the very end of an interval is known a moment later


async def run_ticks(
    collect: Callable[[datetime], Awaitable[None]], *, stop: asyncio.Event, clock: Callable[[], datetime]
) -> None:
    """Call `collect` at the end of every interval until `stop` is set; intervals that pass meanwhile are skipped.

    A database that goes away is waited for.
    """
    while not stop.is_set():
        tick = find_interval_end(clock(), RAW_INTERVAL_S)
        wait_s = (tick + _DELAY - clock()).total_seconds()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=max(wait_s, 0.0))
            return
        try:
            await collect(tick)
        except DatabaseError as error:
            logger.warning("the collector waits for the database: %s", error)


async def main() -> None:
    """Collect until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with aiohttp.ClientSession(trust_env=False) as session:

        def connect_agent(access: AgentAccess) -> AgentSource:
            return AgentSource(session=session, access=access)

        gateway_url = settings.MEDLEY_GATEWAY_URL
        gateway = GatewaySource(session=session, url=gateway_url, token=settings.MEDLEY_GATEWAY_TOKEN)
        collector = Collector(
            store=DatabaseStore(), gateway=gateway, gateway_url=gateway_url, connect_agent=connect_agent
        )
        logger.info("collecting from %s", gateway_url)
        await run_ticks(collector.collect, stop=stop, clock=timezone.now)
        collector.close()
    logger.info("collector ended")


if __name__ == "__main__":
    asyncio.run(main())
