"""Background traffic: `python -m workers.traffic` replays a trace against every deployment that wants it."""

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.base")

import aiohttp  # noqa: E402  # Django's settings are named first
import django  # noqa: E402  # same reason

django.setup()

from asgiref.sync import sync_to_async  # noqa: E402  # models can be imported only after the line above
from django.conf import settings  # noqa: E402  # same reason
from django.db import Error as DatabaseError  # noqa: E402  # same reason
from django.db import close_old_connections  # noqa: E402  # same reason
from django.utils import timezone  # noqa: E402  # same reason

from engine.errors import EngineError  # noqa: E402  # same reason
from webapp.telemetry import background  # noqa: E402  # same reason
from webapp.telemetry.background import TrafficTarget  # noqa: E402  # same reason
from workers.replaying.keys import KeyRing  # noqa: E402  # same reason
from workers.replaying.sender import GatewayClient, Replay  # noqa: E402  # same reason
from workers.replaying.trace import fit_trace, read_trace  # noqa: E402  # same reason

logger: Final = logging.getLogger("workers.traffic")
_POLL_S: Final = 0.5  # switched off on the page, silent within two seconds
_CONNECTIONS: Final = 1024


class Replays:
    """The replays that run, brought to what is wanted."""

    def __init__(self, *, make_replay: Callable[[TrafficTarget], Replay]) -> None:
        self._make_replay = make_replay
        self._running: dict[str, Replay] = {}

    @property
    def names(self) -> list[str]:
        """Deployments that get traffic now."""
        return sorted(self._running)

    async def follow(self, targets: Sequence[TrafficTarget]) -> None:
        """Stop what is not wanted (any more, or in this form), start what is missing."""
        wanted = {target.deployment_name: target for target in targets}
        ended = [name for name, replay in self._running.items() if replay.is_over or wanted.get(name) != replay.target]
        await asyncio.gather(*(self._running.pop(name).stop() for name in ended))
        for name, target in wanted.items():
            if name not in self._running:
                self._running[name] = self._make_replay(target)
                self._running[name].start()

    async def stop(self) -> None:
        """Stop all."""
        await self.follow([])


async def run(
    replays: Replays, *, read_targets: Callable[[], Awaitable[Sequence[TrafficTarget]]], stop: asyncio.Event
) -> None:
    """Follow the page's switches until `stop` is set; while the database is away everything goes on as it was."""
    is_away = False
    while not stop.is_set():
        try:
            await replays.follow(await read_targets())
            is_away = False
        except (DatabaseError, EngineError) as error:
            if not is_away:
                logger.warning("background traffic goes on as it was: %s", error)
            is_away = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=_POLL_S)
    await replays.stop()


def _read_targets() -> list[TrafficTarget]:
    close_old_connections()
    return background.list_targets()


def _renew_key(deployment_name: str) -> str:
    close_old_connections()
    return background.renew_key(deployment_name=deployment_name, now=timezone.now())


async def main() -> None:
    """Send until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        client = GatewayClient(session, settings.MEDLEY_GATEWAY_URL)
        keys = KeyRing(sync_to_async(_renew_key))

        def make_replay(target: TrafficTarget) -> Replay:
            return Replay(
                target,
                arrivals=fit_trace(read_trace(), target),
                client=client,
                keys=keys,
                rng=random.Random(),
            )

        logger.info("background traffic goes to %s", settings.MEDLEY_GATEWAY_URL)
        await run(Replays(make_replay=make_replay), read_targets=sync_to_async(_read_targets), stop=stop)
    logger.info("background traffic ended")


if __name__ == "__main__":
    asyncio.run(main())
