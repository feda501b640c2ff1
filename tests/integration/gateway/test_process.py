"""The gateway as a process: start, load, end."""

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from engine.gateway.protocol import GatewayStats, Outcome
from tests.support.fake_shard import FakeShard, define_stream
from tests.support.gateways import (
    AUTH,
    TOKEN,
    TOKEN_AUTH,
    FakeConsole,
    define_body,
    define_deployment,
    define_route,
    define_table,
    open_caller,
    until,
)

CHECKOUT = Path(__file__).resolve().parents[3]
TEXT = "/v1/completions"
Pair = tuple[FakeShard, FakeShard]

pytestmark = pytest.mark.slow


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(console_url: str, port: int, state_dir: Path, *, token: str = TOKEN) -> asyncio.subprocess.Process:
    command = ("-m", "engine.gateway", "--console-url", console_url, "--port", str(port), "--state-dir", str(state_dir))
    environment = os.environ | {"MEDLEY_GATEWAY_TOKEN": token}
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=CHECKOUT, env=environment, stderr=asyncio.subprocess.PIPE
    )


async def wait_until_it_serves(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(20.0):
        while True:
            try:
                async with http.get(f"{url}/v1/models", headers=AUTH) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass  # not listening yet
            await asyncio.sleep(0.05)


async def read_stats(http: aiohttp.ClientSession, url: str) -> GatewayStats:
    async with http.get(url + "/internal/stats?since=1", headers=TOKEN_AUTH) as answer:
        return GatewayStats.model_validate_json(await answer.read())


def raise_file_limit() -> None:
    """Callers and shards of a thousand streams live in this process: two descriptors each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip(f"this system allows {hard} open files a process: 4096 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def run_process(
    console_url: str, state_dir: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, aiohttp.ClientSession]]:
    port = find_free_port()
    process = await start(console_url, port, state_dir)
    try:
        async with open_caller() as http:
            url = f"http://127.0.0.1:{port}"
            await wait_until_it_serves(http, url)
            yield process, url, http
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def console(shards: Pair) -> AsyncIterator[FakeConsole]:
    routes = [define_route(shard.url, name) for shard, name in zip(shards, ("a", "b"), strict=True)]
    running = FakeConsole(define_table(define_deployment(*routes)))
    await running.start()
    yield running
    await running.stop()


class TestProcess:
    async def test_drains_on_sigterm(self, console: FakeConsole, shards: Pair, tmp_path: Path) -> None:
        for shard in shards:
            shard.interval_s = 0.05
        body = define_body(stream=True, max_tokens=20)
        async with run_process(console.url, tmp_path) as (process, url, http):
            async with http.post(url + TEXT, json=body, headers=AUTH) as answer:
                first = await answer.content.readany()
                process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.2)
                with pytest.raises(aiohttp.ClientConnectionError):
                    await http.get(url + "/healthz")
                received = first + await answer.read()
            assert received == b"".join(define_stream(TEXT, body))
            assert await asyncio.wait_for(process.wait(), 5.0) == 0

    async def test_starts_again_after_a_kill_without_its_console(
        self, console: FakeConsole, shards: Pair, tmp_path: Path
    ) -> None:
        async with run_process(console.url, tmp_path) as (process, _, _):
            await until((tmp_path / "routing-table.json").exists)
            process.kill()
            await process.wait()
        await console.stop()
        async with (
            run_process(console.url, tmp_path) as (_, url, http),
            http.post(url + TEXT, json=define_body(), headers=AUTH) as answer,
        ):
            assert answer.status == 200

    async def test_refuses_to_start_without_its_token(self, tmp_path: Path) -> None:
        process = await start("http://127.0.0.1:9", find_free_port(), tmp_path, token="")
        _, text = await process.communicate()
        assert process.returncode == 2
        assert b"MEDLEY_GATEWAY_TOKEN is not set" in text

    async def test_says_when_its_port_is_taken(self, console: FakeConsole, tmp_path: Path) -> None:
        process = await start(console.url, console.port, tmp_path)
        _, text = await process.communicate()
        assert process.returncode == 1
        assert b"address already in use" in text

    async def test_carries_a_thousand_streams_at_once(self, console: FakeConsole, shards: Pair, tmp_path: Path) -> None:
        raise_file_limit()
        gate = asyncio.Event()
        for shard in shards:
            shard.gate, shard.keeps_requests = gate, False
        body = define_body(stream=True, max_tokens=5)
        expected = b"".join(define_stream(TEXT, body))
        async with run_process(console.url, tmp_path) as (_, url, http):

            async def call() -> bool:
                async with http.post(url + TEXT, json=body, headers=AUTH) as answer:
                    return answer.status == 200 and await answer.read() == expected

            calls = [asyncio.create_task(call()) for _ in range(1000)]
            await until(lambda: shards[0].num_running + shards[1].num_running == 1000, timeout_s=50.0)
            assert (await read_stats(http, url)).in_flight == {"chat": 1000}
            gate.set()
            assert await asyncio.gather(*calls) == [True] * 1000
            stats = await read_stats(http, url)
        assert stats.in_flight == {}
        assert (len(stats.records), {record.outcome for record in stats.records}) == (1000, {Outcome.OK})
