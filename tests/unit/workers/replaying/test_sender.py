"""Replays: paced, bounded, stopped at once, patient with keys that gateways do not know yet."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator

import aiohttp
import pytest

from engine.domain.slo import Slo
from webapp.telemetry.background import TrafficTarget
from workers.replaying import sender
from workers.replaying.keys import KeyRing
from workers.replaying.sender import Answer, Replay
from workers.replaying.trace import Arrival

_TARGET = TrafficTarget(
    deployment_name="demo",
    model_name="demo-model",
    requests_per_s=1.0,
    prompt_tokens=10,
    output_tokens=4,
    max_model_len=128,
    slo=Slo(ttft_s=2.0, tpot_s=0.2),
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_GRACE_S", 0.02)
    monkeypatch.setattr(sender, "_SETTLE_S", 0.0)
    monkeypatch.setattr(sender, "_RENEW_AFTER_S", 0.0)


class FakeClient:
    """A gateway that knows some keys."""

    def __init__(self) -> None:
        self.known_keys = {"key-1"}
        self.sent: list[tuple[str, str, int, int]] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.num_cancelled = 0
        self.ttft_s = 0.1

    async def send(self, *, key: str, model_name: str, prompt: str, output_tokens: int) -> Answer:
        self.sent.append((key, model_name, len(prompt.split()), output_tokens))
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        status = 200 if key in self.known_keys else 401
        return Answer(status=status, ttft_s=self.ttft_s, e2e_s=self.ttft_s + 0.1)


def _make_keys() -> KeyRing:
    made: list[str] = []

    async def make(deployment_name: str) -> str:
        assert deployment_name == "demo"
        made.append(f"key-{len(made) + 1}")
        return made[-1]

    return KeyRing(make)


def _make_replay(client: FakeClient, arrivals: Iterator[Arrival], keys: KeyRing | None = None) -> Replay:
    return Replay(_TARGET, arrivals=arrivals, client=client, keys=keys or _make_keys(), rng=random.Random(0))


def _list_arrivals(*due_s: float) -> Iterator[Arrival]:
    return iter([Arrival(due_s=due, prompt_tokens=8, output_tokens=4) for due in due_s])


async def _wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2.0):
        while not condition():  # noqa: ASYNC110  # what is waited for is a state of the code under test
            await asyncio.sleep(0)


class TestReplay:
    """A replay..."""

    async def test_sends_what_is_due(self) -> None:
        client = FakeClient()
        replay = _make_replay(client, _list_arrivals(0.0, 0.0, 3600.0))
        replay.start()
        await _wait_for(lambda: len(client.sent) == 2 and replay.num_in_flight == 0)
        await replay.stop()
        assert client.sent == [("key-1", "demo-model", 8, 4)] * 2
        assert (replay.num_sent, replay.num_left_out) == (2, 0)

    async def test_leaves_requests_out_rather_than_pile_them_up(self) -> None:
        client = FakeClient()
        client.gate = asyncio.Event()
        replay = _make_replay(client, _list_arrivals(*[0.0] * 20, 3600.0))
        replay.start()
        await _wait_for(lambda: replay.num_left_out == 16)
        assert replay.num_in_flight == 4
        client.gate.set()
        await _wait_for(lambda: replay.num_in_flight == 0)
        await replay.stop()
        assert replay.num_sent == 4

    async def test_yields_when_requests_miss_the_slo(self) -> None:
        client = FakeClient()
        client.ttft_s = 2.1
        replay = _make_replay(client, _list_arrivals(0.0, 0.01, 0.01, 0.01, 0.01, 3600.0))
        replay.start()
        await _wait_for(lambda: len(client.sent) == 1 and replay.num_in_flight == 0)
        client.gate = asyncio.Event()
        await _wait_for(lambda: replay.num_left_out == 2)
        assert replay.num_in_flight == 2
        client.gate.set()
        await replay.stop()

    async def test_stops_at_once_and_cancels_what_takes_longer(self) -> None:
        client = FakeClient()
        client.gate = asyncio.Event()
        replay = _make_replay(client, _list_arrivals(0.0, 0.0, 0.001, 3600.0))
        replay.start()
        await _wait_for(lambda: len(client.sent) == 3)
        async with asyncio.timeout(1.0):
            await replay.stop()
        assert client.num_cancelled == 3
        assert replay.num_in_flight == 0

    async def test_lets_short_requests_end(self) -> None:
        client = FakeClient()
        client.gate = asyncio.Event()
        replay = _make_replay(client, _list_arrivals(0.0, 3600.0))
        replay.start()
        await _wait_for(lambda: len(client.sent) == 1)
        asyncio.get_running_loop().call_soon(client.gate.set)
        await replay.stop()
        assert client.num_cancelled == 0

    async def test_outlives_a_gateway_that_goes_away(self, caplog: pytest.LogCaptureFixture) -> None:
        client = FakeClient()
        client.error = aiohttp.ClientConnectionError("refused")
        replay = _make_replay(client, _list_arrivals(0.0, 0.0, 0.01, 3600.0))
        with caplog.at_level(logging.INFO):
            replay.start()
            await _wait_for(lambda: len(client.sent) == 2)
            await _wait_for(lambda: replay.num_in_flight == 0)
            client.error = None
            await _wait_for(lambda: len(client.sent) == 3 and replay.num_in_flight == 0)
            await replay.stop()
        assert caplog.text.count("the gateway does not answer") == 1
        assert caplog.text.count("answers again") == 1

    async def test_makes_a_new_key_when_the_present_one_stays_refused(self) -> None:
        client = FakeClient()
        client.known_keys = {"key-2"}
        replay = _make_replay(client, _list_arrivals(0.0, 0.01, 0.02, 0.03, 3600.0))
        replay.start()
        await _wait_for(lambda: len(client.sent) == 4 and replay.num_in_flight == 0)
        await replay.stop()
        assert [key for key, *_ in client.sent] == ["key-1", "key-2", "key-2", "key-2"]

    async def test_is_patient_with_a_key_that_is_new(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sender, "_RENEW_AFTER_S", 60.0)
        client = FakeClient()
        client.known_keys = set()
        replay = _make_replay(client, _list_arrivals(0.0, 0.01, 0.02, 3600.0))
        replay.start()
        await _wait_for(lambda: len(client.sent) == 3 and replay.num_in_flight == 0)
        await replay.stop()
        assert {key for key, *_ in client.sent} == {"key-1"}

    async def test_is_over_when_there_is_no_key(self, caplog: pytest.LogCaptureFixture) -> None:
        async def fail(_: str) -> str:
            raise ConnectionError("database is away")

        replay = _make_replay(FakeClient(), _list_arrivals(0.0), KeyRing(fail))
        replay.start()
        await _wait_for(lambda: replay.is_over)
        await replay.stop()
        assert "database is away" in caplog.text


class TestKeyRing:
    """Keys..."""

    async def test_are_made_once_and_renewed_on_demand(self) -> None:
        keys = _make_keys()
        assert [await keys.get("demo"), await keys.get("demo")] == ["key-1", "key-1"]
        assert await keys.renew("demo") == "key-2"
        assert await keys.get("demo") == "key-2"
