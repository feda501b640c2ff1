"""Gateways with everything around them: a console to pull from, tables to publish, callers."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from engine.domain.codec import value_to_json
from engine.domain.slo import Slo
from engine.domain.workload import RequestClass
from engine.gateway.protocol import GatewayStats
from engine.gateway.server import Gateway, GatewayOptions, run_gateway
from engine.routing.table import DeploymentRoutes, RoutingTable, ShardRoute
from tests.support.fake_shard import MODEL

TOKEN = "gateway-token"
KEY = "sk-medley-test"
SHORT = RequestClass(id="p32-o8", prompt_tokens=32, output_tokens=8, share=0.75)
LONG = RequestClass(id="p512-o64", prompt_tokens=512, output_tokens=64, share=0.25)
AUTH = {"Authorization": f"Bearer {KEY}"}
TOKEN_AUTH = {"Authorization": f"Bearer {TOKEN}"}


def define_route(url: str, shard_id: str, *, weight: float = 1.0, **changes: Any) -> ShardRoute:
    """Return a shard of a table."""
    weights = {SHORT.id: weight, LONG.id: weight}
    route = ShardRoute(shard_id=shard_id, url=url, weights=weights, accepts_requests=True, strips_seed=False)
    return replace(route, **changes)


def define_deployment(*shards: ShardRoute, keys: Sequence[str] = (KEY,), **changes: Any) -> DeploymentRoutes:
    """Return a deployment of a table."""
    routes = DeploymentRoutes(
        name="chat",
        model_name=MODEL,
        classes=(SHORT, LONG),
        slo=Slo(ttft_s=5.0, tpot_s=1.0),
        key_hashes=tuple(hashlib.sha256(key.encode()).hexdigest() for key in keys),
        shards=shards,
    )
    return replace(routes, **changes)


def define_table(*deployments: DeploymentRoutes) -> RoutingTable:
    """Return a table whose version follows from its content."""
    text = json.dumps([value_to_json(item) for item in deployments], sort_keys=True)
    return RoutingTable(version=hashlib.sha256(text.encode()).hexdigest()[:12], deployments=deployments)


class FakeConsole:
    """Publishes a table as the console does."""

    def __init__(self, table: RoutingTable) -> None:
        self.table = table
        self.num_full_answers = 0
        self.num_unchanged = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v1/gateway/routing-table", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        etag = f'"{self.table.version}"'
        if request.headers.get("If-None-Match") == etag:
            self.num_unchanged += 1
            return web.Response(status=304, headers={"ETag": etag})
        self.num_full_answers += 1
        return web.json_response(value_to_json(self.table), headers={"ETag": etag})


@dataclass(kw_only=True)
class Stage:
    """A gateway, its console and a caller."""

    gateway: Gateway
    console: FakeConsole
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    def post(self, path: str, body: Mapping[str, Any], **headers: str) -> Any:
        return self.http.post(self.url + path, json=body, headers=AUTH | headers)

    async def complete(self, **fields: Any) -> tuple[int, bytes]:
        """Send one completion and return status and body."""
        async with self.post("/v1/completions", define_body(**fields)) as answer:
            return answer.status, await answer.read()

    async def publish(self, table: RoutingTable) -> None:
        """Publish a table and wait until the gateway routes by it."""
        self.console.table = table
        await self.gateway.puller.pull_once()
        assert self.gateway.router.directory.version == table.version

    async def read_stats(self, since: int = 1) -> GatewayStats:
        """Read the statistics as the collector does."""
        async with self.http.get(f"{self.url}/internal/stats?since={since}", headers=TOKEN_AUTH) as answer:
            assert answer.status == 200
            return GatewayStats.model_validate_json(await answer.read())


def define_body(**fields: Any) -> dict[str, Any]:
    """Return the body of a small completion."""
    return {"model": MODEL, "prompt": "one two three", "max_tokens": 4} | fields


@asynccontextmanager
async def run_stage(table: RoutingTable, state_dir: Path, **changes: Any) -> AsyncIterator[Stage]:
    """Run a gateway that already routes by the table."""
    console = FakeConsole(table)
    await console.start()
    options = GatewayOptions(
        console_url=console.url, host="127.0.0.1", port=0, state_dir=state_dir, token=TOKEN, drain_s=1.0
    )
    try:
        async with run_gateway(replace(options, **changes)) as gateway, open_caller() as http:
            await until(lambda: gateway.router.directory.version == table.version)
            yield Stage(gateway=gateway, console=console, http=http)
    finally:
        await console.stop()


@asynccontextmanager
async def open_caller() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a caller with any number of connections."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60.0)) as http:
        yield http


async def until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    """Wait for a condition of this process."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.005)
