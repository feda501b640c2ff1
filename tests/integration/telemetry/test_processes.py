"""Collector and background traffic as processes: beside a gateway that comes and goes, killed, and told to end."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from engine.gateway.protocol import GatewayStats, Outcome, RequestRecord
from tests.support.services import pick_port

pytestmark = pytest.mark.slow
_ROOT = Path(__file__).resolve().parents[3]
_TOKEN = "gateway-token"
_SEED = """
import django; django.setup()
from tests.support.serving import create_serving, store_plan, store_shard
demo = create_serving(is_on=False)
store_plan(demo, requests_per_s=40.0)
store_shard(demo, max_model_len=512)
"""


class FakeGateway:
    """The gateway's two surfaces, with requests that finish when the test says so."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.instance = "a"
        self.records: list[RequestRecord] = []
        self.keys: list[str] = []
        self.num_open = 0
        self.latest_at = 0.0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/internal/stats", self._answer_stats)
        app.router.add_post("/v1/chat/completions", self._answer_chat)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Go away."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def finish(self, num_requests: int) -> None:
        """Let requests finish now."""
        for _ in range(num_requests):
            record = RequestRecord(
                seq=len(self.records) + 1,
                deployment="demo",
                shard_id="demo-r1",
                class_id="p32-o16",
                finished_at=time.time(),
                outcome=Outcome.OK,
                ttft_s=0.1,
                tpot_s=0.01,
                e2e_s=0.5,
                prompt_tokens=32,
                output_tokens=16,
                is_within_slo=True,
            )
            self.records.append(record)

    async def _answer_stats(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {_TOKEN}"
        since = int(request.query["since"])
        stats = GatewayStats(
            instance=self.instance,
            next_seq=len(self.records) + 1,
            in_flight={},
            num_lost=0,
            records=self.records[since - 1 :],
        )
        return web.Response(text=stats.model_dump_json())

    async def _answer_chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert (body["model"], body["stream"]) == ("demo", True)
        self.keys.append(request.headers["Authorization"].removeprefix("Bearer "))
        self.latest_at = time.monotonic()
        self.num_open += 1
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for _ in range(3):
                await asyncio.sleep(0.02)
                await response.write(b"data: {}\n\n")
            return response
        finally:
            self.num_open -= 1


class Console:
    """A console's home: its database, and the environment of its processes."""

    def __init__(self, home: Path) -> None:
        self.gateway_port = pick_port()
        self._database = home / "db.sqlite3"
        self._log = home / "log"
        self._env = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"} | {
            "DJANGO_SETTINGS_MODULE": "webapp.settings.base",
            "MEDLEY_HOME": str(home),
            "MEDLEY_SECRET_KEY": "secret-of-the-test",
            "MEDLEY_GATEWAY_TOKEN": _TOKEN,
            "MEDLEY_GATEWAY_URL": f"http://127.0.0.1:{self.gateway_port}",
        }

    def fill(self) -> None:
        """Make the database with one live deployment."""
        self.run("manage.py", "migrate", "--verbosity", "0")
        self.run("-c", _SEED)

    def run(self, *arguments: str) -> None:
        """Run Python to its end."""
        subprocess.run([sys.executable, *arguments], cwd=_ROOT, env=self._env, check=True)

    def start(self, module: str) -> subprocess.Popen[bytes]:
        """Start a process of the console."""
        with self._log.open("wb") as log:
            return subprocess.Popen([sys.executable, "-m", module], cwd=_ROOT, env=self._env, stderr=log)

    def has_logged(self, text: str) -> bool:
        """Return whether the process started last said so."""
        return text in self._log.read_text()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Return the rows of a query; changes are kept."""
        with contextlib.closing(sqlite3.connect(self._database, timeout=10)) as connection, connection:
            return connection.execute(sql).fetchall()

    def switch_traffic(self, *, is_on: bool) -> None:
        """Do what the page's switch does."""
        self.query(f"UPDATE deployments_deployment SET has_background_traffic = {int(is_on)}")  # noqa: S608  # 0 or 1

    def count_requests(self) -> int:
        """Return how many requests telemetry counted."""
        [(total,)] = self.query("SELECT COALESCE(SUM(num_requests), 0) FROM telemetry_deploymentsample")
        assert isinstance(total, int)
        return total


@pytest.fixture(scope="module")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a database to copy: making one takes seconds."""
    home = tmp_path_factory.mktemp("home")
    Console(home).fill()
    return home


@pytest.fixture
def console(tmp_path: Path, filled_home: Path) -> Console:
    """A console with one live deployment."""
    shutil.copytree(filled_home, tmp_path, dirs_exist_ok=True)
    return Console(tmp_path)


@pytest.fixture
async def gateway(console: Console) -> AsyncIterator[FakeGateway]:
    """A gateway that listens."""
    gateway = FakeGateway(console.gateway_port)
    await gateway.start()
    yield gateway
    await gateway.stop()


@contextlib.contextmanager
def _running(console: Console, module: str) -> Iterator[subprocess.Popen[bytes]]:
    process = console.start(module)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _wait_for(condition: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # other processes cannot set an event here
            await asyncio.sleep(0.05)


async def _end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(process.wait, 10)


class TestCollector:
    """`python -m workers.collector`..."""

    async def test_counts_every_request_once_whoever_dies(self, console: Console, gateway: FakeGateway) -> None:
        gateway.finish(5)
        with _running(console, "workers.collector"):
            await _wait_for(lambda: console.count_requests() == 5)
            gateway.finish(3)
        gateway.finish(2)  # killed above: nobody counts these yet
        with _running(console, "workers.collector") as process:
            await _wait_for(lambda: console.count_requests() == 10)
            await gateway.stop()
            gateway.instance, gateway.records = "b", []
            gateway.finish(4)
            await gateway.start()
            await _wait_for(lambda: console.count_requests() == 14)
            assert await _end(process) == 0
        assert console.query("SELECT instance, next_seq FROM telemetry_gatewaycursor") == [("b", 5)]
        [(num_events,)] = console.query("SELECT COUNT(*) FROM core_event WHERE topic = 'deployment:demo'")
        assert isinstance(num_events, int)
        assert num_events >= 3

    async def test_ends_at_once_without_a_gateway(self, console: Console) -> None:
        with _running(console, "workers.collector") as process:
            await _wait_for(lambda: console.has_logged("does not answer"))
            started_at = time.monotonic()
            assert await _end(process) == 0
            assert time.monotonic() - started_at < 3.0
        assert console.count_requests() == 0


class TestTraffic:
    """`python -m workers.traffic`..."""

    async def test_follows_the_switch_of_the_page(self, console: Console, gateway: FakeGateway) -> None:
        with _running(console, "workers.traffic") as process:
            await _wait_for(lambda: console.has_logged("background traffic goes to"))
            await asyncio.sleep(1.0)
            assert gateway.keys == []
            console.switch_traffic(is_on=True)
            await _wait_for(lambda: len(gateway.keys) >= 20)
            console.switch_traffic(is_on=False)
            switched_at = time.monotonic()
            await asyncio.sleep(3.0)
            assert gateway.latest_at - switched_at < 2.0
            assert gateway.num_open == 0
            num_sent = len(gateway.keys)
            console.switch_traffic(is_on=True)
            await _wait_for(lambda: len(gateway.keys) > num_sent)
            assert await _end(process) == 0
        digests = {hashlib.sha256(key.encode()).hexdigest() for key in gateway.keys}
        assert {(digest,) for digest in digests} == set(
            console.query("SELECT key_hash FROM deployments_gatewaykey WHERE revoked_at IS NULL")
        )

    async def test_outlives_the_gateway(self, console: Console, gateway: FakeGateway) -> None:
        console.switch_traffic(is_on=True)
        with _running(console, "workers.traffic") as process:
            await _wait_for(lambda: len(gateway.keys) >= 3)
            await gateway.stop()
            await asyncio.sleep(1.0)
            num_sent = len(gateway.keys)
            await gateway.start()
            await _wait_for(lambda: len(gateway.keys) >= num_sent + 3)
            assert process.poll() is None
            assert await _end(process) == 0
