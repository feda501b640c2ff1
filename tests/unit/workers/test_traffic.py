"""Replays follow the switches of the page."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from django.db import OperationalError

from engine.domain.slo import Slo
from webapp.telemetry.background import TrafficTarget
from workers import traffic
from workers.replaying.sender import Replay
from workers.traffic import Replays

_TARGET = TrafficTarget(
    deployment_name="demo",
    model_name="demo",
    requests_per_s=1.0,
    prompt_tokens=10,
    output_tokens=4,
    max_model_len=128,
    slo=Slo(),
)


class FakeReplay:
    """A replay that only remembers what it was told."""

    def __init__(self, target: TrafficTarget) -> None:
        self.target = target
        self.told: list[str] = []
        self.is_over = False

    def start(self) -> None:
        self.told.append("start")

    async def stop(self) -> None:
        self.told.append("stop")


class Factory:
    """Makes replays and keeps them."""

    def __init__(self) -> None:
        self.made: list[FakeReplay] = []

    def __call__(self, target: TrafficTarget) -> Replay:
        self.made.append(FakeReplay(target))
        return self.made[-1]  # type: ignore[return-value]  # it has what `Replays` uses


class TestReplays:
    """Replays..."""

    async def test_start_and_stop_with_the_switch(self) -> None:
        factory = Factory()
        replays = Replays(make_replay=factory)
        await replays.follow([_TARGET])
        await replays.follow([_TARGET])
        assert replays.names == ["demo"]
        await replays.follow([])
        assert replays.names == []
        assert [replay.told for replay in factory.made] == [["start", "stop"]]

    async def test_begin_anew_when_the_plan_changed(self) -> None:
        factory = Factory()
        replays = Replays(make_replay=factory)
        await replays.follow([_TARGET])
        await replays.follow([replace(_TARGET, requests_per_s=2.0)])
        assert [(replay.target.requests_per_s, replay.told) for replay in factory.made] == [
            (1.0, ["start", "stop"]),
            (2.0, ["start"]),
        ]

    async def test_begin_anew_when_one_ended_by_itself(self) -> None:
        factory = Factory()
        replays = Replays(make_replay=factory)
        await replays.follow([_TARGET])
        factory.made[0].is_over = True
        await replays.follow([_TARGET])
        assert [replay.told for replay in factory.made] == [["start", "stop"], ["start"]]

    async def test_are_kept_apart(self) -> None:
        factory = Factory()
        replays = Replays(make_replay=factory)
        other = replace(_TARGET, deployment_name="other")
        await replays.follow([_TARGET, other])
        await replays.follow([other])
        assert [replay.told for replay in factory.made] == [["start", "stop"], ["start"]]


class TestRun:
    """The process..."""

    @pytest.fixture(autouse=True)
    def _short_poll(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(traffic, "_POLL_S", 0.001)

    async def test_follows_until_it_is_told_to_end(self) -> None:
        factory, stop = Factory(), asyncio.Event()

        async def read_targets() -> Sequence[TrafficTarget]:
            if factory.made:
                stop.set()
            return [_TARGET]

        await traffic.run(Replays(make_replay=factory), read_targets=read_targets, stop=stop)
        assert [replay.told for replay in factory.made] == [["start", "stop"]]

    async def test_goes_on_while_the_database_is_away(self, caplog: pytest.LogCaptureFixture) -> None:
        factory, stop = Factory(), asyncio.Event()
        num_reads = 0

        async def read_targets() -> Sequence[TrafficTarget]:
            nonlocal num_reads
            num_reads += 1
            if num_reads > 3:
                stop.set()
            if num_reads > 1:
                raise OperationalError("database is locked")
            return [_TARGET]

        await traffic.run(Replays(make_replay=factory), read_targets=read_targets, stop=stop)
        assert [replay.told for replay in factory.made] == [["start", "stop"]]
        assert caplog.text.count("goes on as it was") == 1
