"""Latency that the gateway adds, at rising rates, against going straight to the backend in the same run.

    python -m tests.bench.bench_gateway --rates 100 500 1000 --seconds 5

Two fake shards, the gateway and this load generator are processes of their own on one machine. Requests leave on a
fixed schedule whether or not earlier ones are back, and a latency counts from the scheduled instant, so that a stall is
not hidden. The gateway's processor time per request is the steadier figure on a machine that does other things too.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import aiohttp
import orjson
import uvloop

from tests.support.fake_shard import MODEL
from tests.support.gateways import (
    AUTH,
    KEY,
    TOKEN,
    TOKEN_AUTH,
    FakeConsole,
    define_deployment,
    define_route,
    define_table,
)

CHECKOUT: Final = Path(__file__).resolve().parents[2]
PATH: Final = "/v1/completions"
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
END_OF_CHUNKS: Final = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one run at one rate measured.

    Attributes:
        latencies_s: scheduled instant to last byte, sorted; first_byte_s: to the first byte of the body, sorted.
    """

    latencies_s: list[float]
    first_byte_s: list[float]
    num_failed: int

    def get_percentile_ms(self, percentile: float, *, is_first_byte: bool) -> float:
        """Return a percentile [ms]."""
        values = self.first_byte_s if is_first_byte else self.latencies_s
        return 1000.0 * values[min(len(values) - 1, int(percentile / 100.0 * len(values)))]


class Caller(asyncio.Protocol):
    """One kept connection with at most one request on it: as little work as a client can do."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._received = b""
        self._first_byte_at = 0.0
        self._answer: asyncio.Future[tuple[int, float]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or not body:
            return
        if not self._first_byte_at:
            self._first_byte_at = time.perf_counter()
        if _is_complete(head, body) and self._answer is not None and not self._answer.done():
            self._answer.set_result((int(head[9:12]), self._first_byte_at))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed"))

    async def call(self, request: bytes) -> tuple[int, float]:
        """Send a request; return the status and the instant of the body's first byte."""
        assert self.transport is not None
        self._received, self._first_byte_at = b"", 0.0
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


def _is_complete(head: bytes, body: bytes) -> bool:
    lower = head.lower()
    at = lower.find(b"content-length: ")
    if at < 0:
        return body.endswith(END_OF_CHUNKS)
    return len(body) >= int(lower[at + 16 :].split(b"\r\n", 1)[0])


def define_request(port: int, *, is_streaming: bool) -> bytes:
    """Return the bytes of one request: a prompt of about 500 tokens, 16 tokens out."""
    body = orjson.dumps({"model": MODEL, "prompt": "word " * 400, "max_tokens": 16, "stream": is_streaming})
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def load(port: int, *, rate_per_s: float, seconds: float, is_streaming: bool) -> Load:
    """Send requests on a fixed schedule and measure each."""
    request = define_request(port, is_streaming=is_streaming)
    idle: deque[Caller] = deque()
    latencies: list[float] = []
    first_bytes: list[float] = []
    num_failed = 0

    async def call(scheduled_at: float) -> None:
        nonlocal num_failed
        try:
            caller = idle.pop() if idle else (await _connect(port))
            status, first_byte_at = await caller.call(request)
        except OSError:
            num_failed += 1
            return
        idle.append(caller)
        latencies.append(time.perf_counter() - scheduled_at)
        first_bytes.append(first_byte_at - scheduled_at)
        num_failed += status != 200

    started_at = time.perf_counter()
    calls = []
    for index in range(int(rate_per_s * seconds)):
        scheduled_at = started_at + index / rate_per_s
        delay_s = scheduled_at - time.perf_counter()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        calls.append(asyncio.create_task(call(scheduled_at)))
    await asyncio.gather(*calls)
    for caller in idle:
        if caller.transport is not None:
            caller.transport.close()
    return Load(latencies_s=sorted(latencies), first_byte_s=sorted(first_bytes), num_failed=num_failed)


async def _connect(port: int) -> Caller:
    _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", port)
    return caller


async def hold_streams(port: int, count: int) -> tuple[int, float]:
    """Run streams at the same time; return how many failed and how long all took [s]."""
    request = define_request(port, is_streaming=True)

    async def call() -> bool:
        try:
            caller = await _connect(port)
            status, _ = await caller.call(request)
        except OSError:
            return False
        if caller.transport is not None:
            caller.transport.close()
        return status == 200

    started_at = time.perf_counter()
    results = await asyncio.gather(*(call() for _ in range(count)))
    return results.count(False), time.perf_counter() - started_at


@contextmanager
def run_shard(*, ttft_s: float, interval_s: float) -> Iterator[int]:
    """Run a fake shard in its own process; yield its port."""
    command = (sys.executable, "-m", "tests.support.fake_shard")
    pace = ("--ttft-s", str(ttft_s), "--interval-s", str(interval_s))
    with subprocess.Popen((*command, *pace), cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def run_gateway_process(console_url: str, state_dir: str) -> Iterator[tuple[int, int]]:
    """Run the gateway; yield its port and process number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = (sys.executable, "-m", "engine.gateway", "--console-url", console_url)
    place = ("--port", str(port), "--state-dir", state_dir)
    environment = os.environ | {"MEDLEY_GATEWAY_TOKEN": TOKEN}
    with subprocess.Popen((*command, *place), cwd=CHECKOUT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield port, process.pid
        finally:
            process.terminate()


def read_cpu_s(pid: int) -> float:
    """Return the processor time that a process has used [s]."""
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


async def wait_until_it_serves(http: aiohttp.ClientSession, port: int) -> None:
    """Wait until the gateway has its table."""
    while True:
        try:
            async with http.get(f"http://127.0.0.1:{port}/v1/models", headers=AUTH) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.1)


def publish(*ports: int) -> FakeConsole:
    """Return a console that publishes shards on these ports."""
    routes = [define_route(f"http://127.0.0.1:{port}", f"s{index}") for index, port in enumerate(ports)]
    return FakeConsole(define_table(define_deployment(*routes)))


async def bench(arguments: argparse.Namespace) -> None:
    """Print a table of added latency, then what many streams at once do."""
    with ExitStack() as stack:
        shards = [stack.enter_context(run_shard(ttft_s=0.0, interval_s=0.0)) for _ in range(2)]
        console = publish(*shards)
        await console.start()
        state_dir = stack.enter_context(tempfile.TemporaryDirectory())
        port, pid = stack.enter_context(run_gateway_process(console.url, state_dir))
        async with aiohttp.ClientSession() as http:
            await wait_until_it_serves(http, port)
            for is_streaming in (False, True):
                await bench_rates(arguments, shards[0], port, pid, is_streaming=is_streaming)
            await bench_streams(arguments, http, port)
        await console.stop()


async def bench_rates(arguments: argparse.Namespace, shard: int, port: int, pid: int, *, is_streaming: bool) -> None:
    """Print one table: straight and through the gateway at every rate."""
    what = "streams of 16 tokens, first byte" if is_streaming else "answers in one piece, last byte"
    print(f"\n{what} [ms]; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'rate/s':>7} {'direct P50':>11} {'P99':>8} {'gateway P50':>12} {'P99':>8} ", end="")
    print(f"{'added P50':>10} {'P99':>8} {'failed':>7} {'CPU ms/request':>15}")
    for rate in arguments.rates:
        common = {"rate_per_s": rate, "seconds": arguments.seconds, "is_streaming": is_streaming}
        straight = await load(shard, **common)
        before_s = read_cpu_s(pid)
        through = await load(port, **common)
        cpu_ms = 1000.0 * (read_cpu_s(pid) - before_s) / (rate * arguments.seconds)
        direct = [straight.get_percentile_ms(at, is_first_byte=is_streaming) for at in (50, 99)]
        passed = [through.get_percentile_ms(at, is_first_byte=is_streaming) for at in (50, 99)]
        print(f"{rate:>7.0f} {direct[0]:>11.2f} {direct[1]:>8.2f} {passed[0]:>12.2f} {passed[1]:>8.2f} ", end="")
        failed = straight.num_failed + through.num_failed
        print(f"{passed[0] - direct[0]:>10.2f} {passed[1] - direct[1]:>8.2f} {failed:>7} {cpu_ms:>15.2f}")


async def bench_streams(arguments: argparse.Namespace, http: aiohttp.ClientSession, port: int) -> None:
    """Print what many streams at the same time do, and the in-flight count afterwards."""
    runs = [await hold_streams(port, arguments.streams) for _ in range(3)]
    async with http.get(f"http://127.0.0.1:{port}/internal/stats?since=1", headers=TOKEN_AUTH) as answer:
        in_flight = (await answer.json())["in_flight"]
    median_s = statistics.median(seconds for _, seconds in runs)
    num_failed = sum(failed for failed, _ in runs)
    print(f"\n{arguments.streams} streams at once, 3 times: failed {num_failed}, median {median_s:.2f} s, ", end="")
    print(f"in flight afterwards {sum(in_flight.values())}")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description="latency that the gateway adds")
    parser.add_argument("--rates", type=float, nargs="+", default=[100.0, 300.0, 500.0, 1000.0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--streams", type=int, default=1000)
    uvloop.run(bench(parser.parse_args()))


if __name__ == "__main__":
    main()
