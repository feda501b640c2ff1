"""What the gateway expects of a shard: the same tests on the fake one and, where it is installed, on real vLLM."""

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from engine.clouds.local import LocalProvider, LocalSettings
from engine.clouds.port import AgentBootstrap, RentOrder
from engine.gateway.protocol import Outcome
from engine.serving import shard_metrics
from engine.serving.certificates import create_agent_identity
from engine.serving.protocol import ShardReport, ShardSpec
from tests.integration.serving.conftest import CHECKOUT, VLLM_PYTHON, LocalMachine
from tests.support import gateways
from tests.support.fake_shard import MODEL
from tests.support.gateways import AUTH, Stage, define_deployment, define_route, define_table, until

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
_CREATED = re.compile(rb'"created": ?\d+')


@dataclass(kw_only=True)
class Backend:
    """Two shards that run.

    Attributes:
        reports: what their agent says of real ones.
    """

    urls: list[str]
    model: str
    reports: list[ShardReport] = field(default_factory=list)

    def run(self, state_dir: Path, **changes: Any) -> AbstractAsyncContextManager[Stage]:
        routes = [define_route(url, name, **changes) for url, name in zip(self.urls, "ab", strict=True)]
        table = define_table(define_deployment(*routes, model_name=self.model))
        return gateways.run_stage(table, state_dir)


def start_fake() -> tuple[subprocess.Popen[str], str]:
    command = (sys.executable, "-m", "tests.support.fake_shard")
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30.0)[0]
    return process, f"http://127.0.0.1:{int(process.stdout.readline())}"


@pytest.fixture(scope="module")
def fake_backend() -> Iterator[Backend]:
    started = [start_fake() for _ in range(2)]
    yield Backend(urls=[url for _, url in started], model=MODEL)
    for process, _ in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def real_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    if not VLLM_PYTHON.exists():
        pytest.skip(f"real vLLM is not installed: {VLLM_PYTHON} does not exist")
    home = tmp_path_factory.mktemp("home")
    machine = rent_machine(home)
    try:
        machine.rent()
        machine.put(*(define_spec(name, make_model(home)) for name in ("a", "b")))
        reports = machine.wait_ready("a", "b")
        yield Backend(urls=[report.url for report in reports], model="demo", reports=reports)
    finally:
        machine.provider.release(machine.token)


def rent_machine(home: Path) -> LocalMachine:
    identity = create_agent_identity(host="127.0.0.1", now=datetime.now(UTC))
    bootstrap = AgentBootstrap(token=identity.token, cert_pem=identity.cert_pem, key_pem=identity.key_pem)
    token = "0b1f7a86-5c2b-4ad3-9a4e-4f1d2c3b4a59"
    order = RentOrder(machine_token=token, deployment_name="chat", offer_id="local", agent=bootstrap)
    provider = LocalProvider(LocalSettings(home=home, vllm_python=VLLM_PYTHON))
    return LocalMachine(provider=provider, order=order, home=home)


def make_model(home: Path) -> Path:
    out_dir = home / "models" / "demo"
    command = (VLLM_PYTHON, "-P", "-m", "engine.serving.demo_model", out_dir)
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, capture_output=True)
    return out_dir


def define_spec(shard_id: str, model: Path) -> ShardSpec:
    return ShardSpec(
        shard_id=shard_id,
        model_path=str(model),
        served_model_name="demo",
        max_model_len=2048,
        max_num_seqs=16,
        max_num_batched_tokens=2048,
        kv_cache_memory_bytes=64 * 2**20,
    )


@pytest.fixture(
    params=["fake", pytest.param("real", marks=[pytest.mark.serving, pytest.mark.slow])],
)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.getfixturevalue(f"{request.param}_backend")
    return found


def define_call(backend: Backend, path: str, **fields: Any) -> dict[str, Any]:
    said = "Write one line about the sea."
    asked = {"messages": [{"role": "user", "content": said}]} if path == CHAT else {"prompt": said}
    return {"model": backend.model, "max_tokens": 12, "temperature": 0} | asked | fields


async def fetch(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> tuple[int, bytes]:
    headers = AUTH | {"X-Request-Id": "same-id"}
    async with http.post(url, json=body, headers=headers) as answer:
        return answer.status, _CREATED.sub(b'"created":0', await answer.read())


def sum_up(stream: bytes) -> dict[str, Any]:
    """Return what a stream says; a busy shard joins tokens into one event as it likes."""
    *events, done, rest = stream.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    said = [choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices]
    return {
        "ids": {chunk["id"] for chunk in chunks},
        "models": {chunk["model"] for chunk in chunks},
        "text": "".join(said),
        "logprobs": [bool(choice.get("logprobs")) for choice in choices[-1:]],
        "reasons": [choice["finish_reason"] for choice in choices if choice["finish_reason"]],
        "usage": [chunk["usage"] for chunk in chunks if chunk.get("usage")],
    }


class TestEveryShard:
    @pytest.mark.parametrize("path", [CHAT, TEXT])
    @pytest.mark.parametrize("fields", [{}, {"stream_options": {"include_usage": True}}, {"logprobs": 1}])
    async def test_streams_the_same_through_the_gateway(
        self, backend: Backend, tmp_path: Path, path: str, fields: dict[str, Any]
    ) -> None:
        if path == CHAT and "logprobs" in fields:
            fields = {"logprobs": True, "top_logprobs": 1}
        body = define_call(backend, path, stream=True, **fields)
        async with backend.run(tmp_path) as stage:
            direct = await fetch(stage.http, backend.urls[0] + path, body)
            passed = await fetch(stage.http, stage.url + path, body)
        assert (direct[0], passed[0]) == (200, 200)
        assert sum_up(passed[1]) == sum_up(direct[1])
        assert (b'"usage":{' in passed[1]) == ("stream_options" in fields)

    @pytest.mark.parametrize("path", [CHAT, TEXT])
    async def test_answers_the_same_through_the_gateway(self, backend: Backend, tmp_path: Path, path: str) -> None:
        body = define_call(backend, path)
        async with backend.run(tmp_path) as stage:
            direct = await fetch(stage.http, backend.urls[0] + path, body)
            assert await fetch(stage.http, stage.url + path, body) == direct
            usage = json.loads(direct[1])["usage"]
            await fetch(stage.http, stage.url + path, body | {"stream": True})
            records = (await stage.read_stats()).records
        assert len(records) == 2
        for record in records:
            assert (record.prompt_tokens, record.output_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
        assert records[1].ttft_s is not None

    async def test_refuses_what_does_not_fit_in_its_own_words(self, backend: Backend, tmp_path: Path) -> None:
        body = define_call(backend, TEXT, max_tokens=1_000_000)
        async with backend.run(tmp_path) as stage:
            direct = await fetch(stage.http, backend.urls[0] + TEXT, body)
            assert await fetch(stage.http, stage.url + TEXT, body) == direct
            assert (await stage.read_stats()).records[0].outcome is Outcome.REJECTED
        assert direct[0] == 400
        assert set(json.loads(direct[1])["error"]) == {"message", "type", "param", "code"}


async def count_running(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    found = shard_metrics.parse_shard_metrics(text, shard_id="a", observed_at=datetime.now(UTC))
    return found.num_running + found.num_waiting


async def eventually(condition: Callable[[], Awaitable[bool]], *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.02)


@pytest.mark.serving
@pytest.mark.slow
class TestRealShards:
    async def test_stop_working_when_the_caller_leaves(self, real_backend: Backend, tmp_path: Path) -> None:
        body = define_call(real_backend, TEXT, max_tokens=1500, stream=True, ignore_eos=True, temperature=1)
        async with real_backend.run(tmp_path) as stage:

            async def call() -> None:
                async with stage.post(TEXT, body) as answer:
                    await answer.read()

            async def count() -> int:
                return sum([await count_running(stage.http, url) for url in real_backend.urls])

            async def is_busy() -> bool:
                return await count() == 4

            async def is_idle() -> bool:
                return await count() == 0

            calls = [asyncio.create_task(call()) for _ in range(4)]
            await eventually(is_busy)
            for task in calls:
                task.cancel()
            await eventually(is_idle, timeout_s=10.0)
            await until(lambda: stage.gateway.recorder.read_stats(1).in_flight == {})
            records = (await stage.read_stats()).records
        assert [record.outcome for record in records] == [Outcome.CANCELLED] * 4

    async def test_survive_seeds_that_the_gateway_strips(self, real_backend: Backend, tmp_path: Path) -> None:
        prompt = list(range(100, 228))
        async with real_backend.run(tmp_path, strips_seed=True) as stage:

            async def call(seed: int) -> int:
                body = define_call(real_backend, TEXT, prompt=prompt, temperature=1, seed=seed, stream=True)
                async with stage.post(TEXT, body) as answer:
                    await answer.read()
                    return int(answer.status)

            assert await asyncio.gather(*(call(seed) for seed in range(32))) == [200] * 32
            assert {record.outcome for record in (await stage.read_stats()).records} == {Outcome.OK}

    async def test_fail_no_request_that_can_be_tried_again_when_one_is_killed(
        self, real_backend: Backend, tmp_path: Path
    ) -> None:
        async with real_backend.run(tmp_path) as stage:

            async def call(is_streaming: bool) -> tuple[int, bool, bytes]:
                """Return status, whether the answer came whole, and what came."""
                body = define_call(real_backend, TEXT, max_tokens=40, temperature=1, stream=is_streaming)
                received = b""
                async with stage.post(TEXT, body) as answer:
                    try:
                        async for chunk in answer.content.iter_any():
                            received += chunk
                    except aiohttp.ClientPayloadError:
                        return answer.status, False, received
                    return answer.status, True, received

            pid = real_backend.reports[0].pid
            assert pid is not None
            first = [asyncio.create_task(call(index % 2 == 0)) for index in range(24)]
            await until(lambda: stage.gateway.recorder.read_stats(1).next_seq > 4, timeout_s=60.0)
            os.killpg(pid, signal.SIGKILL)
            answers = await asyncio.gather(*first, *(call(index % 2 == 0) for index in range(24)))
            stats = await stage.read_stats()
        assert {status for status, _, _ in answers} == {200}
        # A stream whose first byte was out cannot be tried again; its break shows.
        assert all(b"shards_failed" in received for _, is_whole, received in answers if not is_whole)
        assert stats.in_flight == {}
        failed = [record for record in stats.records if record.outcome is Outcome.FAILED]
        assert len(failed) == sum(not is_whole for _, is_whole, _ in answers)
        assert {record.shard_id for record in failed} <= {"a"}
        assert all(record.ttft_s is not None for record in failed)
