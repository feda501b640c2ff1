"""A gateway process: its parts put together, from start to drained end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import aiohttp
from aiohttp import web

from engine.gateway import app as gateway_app
from engine.gateway.app import DEFAULT_MAX_BODY_BYTES, GatewayApi
from engine.gateway.attempts import AttemptLimits
from engine.gateway.metrics import GatewayMetrics
from engine.gateway.proxy import Proxy
from engine.gateway.puller import TablePuller
from engine.gateway.recorder import Recorder
from engine.gateway.router import Router
from engine.gateway.stats import StatsRing
from engine.gateway.table_store import TableStore

_LOG: Final = logging.getLogger("engine.gateway")
_BACKLOG: Final = 4096  # connections that may come at the same instant
# vLLM's server closes idle connections after 5 s: the gateway must be the one that closes first.
_KEEP_ALIVE_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """How a gateway process runs.

    Attributes:
        token: what console and gateway know each other by.
        pull_interval_s: time between two asks for the table [s].
        connect_s: longest time to reach a shard [s].
        silence_s: longest time without a byte from a shard, queueing included [s].
        drain_s: how long requests may take to finish after SIGTERM [s].
    """

    console_url: str
    host: str
    port: int
    state_dir: Path
    token: str = field(repr=False)
    pull_interval_s: float = 1.0
    connect_s: float = 3.0
    silence_s: float = 600.0
    drain_s: float = 20.0
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    limits: AttemptLimits = AttemptLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway."""

    port: int
    router: Router
    recorder: Recorder
    puller: TablePuller


@contextlib.asynccontextmanager
async def run_gateway(options: GatewayOptions) -> AsyncIterator[Gateway]:
    """Serve inside the block; on leaving it, let running requests finish."""
    metrics = GatewayMetrics()
    router = Router(clock=time.monotonic)
    ring = StatsRing(instance=str(uuid4()))
    recorder = Recorder(ring=ring, metrics=metrics, wall_clock=time.time)
    async with _open_shard_session(options) as shards, aiohttp.ClientSession(trust_env=False) as console:
        puller = TablePuller(
            http=console,
            console_url=options.console_url,
            token=options.token,
            store=TableStore(options.state_dir),
            on_table=router.replace_table,
            metrics=metrics,
            interval_s=options.pull_interval_s,
        )
        proxy = Proxy(http=shards, router=router, metrics=metrics, limits=options.limits, clock=time.monotonic)
        api = GatewayApi(
            proxy=proxy,
            router=router,
            recorder=recorder,
            token=options.token,
            clock=time.monotonic,
        )
        puller.restore()
        async with _pulling(puller):
            runner = await _listen(options, api)
            try:
                port = runner.addresses[0][1]
                yield Gateway(port=port, router=router, recorder=recorder, puller=puller)
            finally:
                await runner.cleanup()


def _open_shard_session(options: GatewayOptions) -> aiohttp.ClientSession:
    """Return the session to the shards: any number of connections, never through a proxy, bodies as they are."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=_KEEP_ALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.connect_s, sock_read=options.silence_s),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "User-Agent"),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


@contextlib.asynccontextmanager
async def _pulling(puller: TablePuller) -> AsyncIterator[None]:
    task = asyncio.create_task(puller.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _listen(options: GatewayOptions, api: GatewayApi) -> web.AppRunner:
    runner = web.AppRunner(
        gateway_app.build_app(api, max_body_bytes=options.max_body_bytes),
        access_log=None,
        handler_cancellation=True,  # a caller who leaves cancels the handler, and with it the shard's work
        shutdown_timeout=options.drain_s,
    )
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port, backlog=_BACKLOG).start()
    return runner
