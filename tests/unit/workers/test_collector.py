"""The collector's clock."""

import asyncio
from datetime import datetime, timedelta

import pytest
from django.db import OperationalError

from tests.support.telemetry import START, at
from workers import collector


class FakeClock:
    """A clock that passes two seconds with every tick; far enough in the past that nothing is waited for."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class TestRunTicks:
    """Ticks..."""

    @pytest.fixture(autouse=True)
    def _no_delay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(collector, "_DELAY", timedelta(0))

    async def _run(self, durations_s: list[float], *, fails: bool = False) -> list[datetime]:
        clock, stop, ticks = FakeClock(), asyncio.Event(), []
        clock.now = START + timedelta(seconds=1.9995)

        async def collect(tick: datetime) -> None:
            ticks.append(tick)
            clock.now = tick + timedelta(seconds=durations_s[len(ticks) - 1])
            if len(ticks) == len(durations_s):
                stop.set()
            if fails:
                raise OperationalError("database is locked")

        await collector.run_ticks(collect, stop=stop, clock=clock)
        return ticks

    async def test_come_at_the_end_of_every_interval(self) -> None:
        assert await self._run([1.999, 1.999, 1.999]) == [at(2), at(4), at(6)]

    async def test_leave_out_intervals_that_passed_meanwhile(self) -> None:
        assert await self._run([5.999, 0.0]) == [at(2), at(8)]

    async def test_go_on_after_the_database_failed(self) -> None:
        assert await self._run([1.999, 0.0], fails=True) == [at(2), at(4)]

    async def test_end_when_they_are_told_to(self) -> None:
        stop = asyncio.Event()
        stop.set()

        async def collect(_: datetime) -> None:
            raise AssertionError("no tick may come")

        await collector.run_ticks(collect, stop=stop, clock=FakeClock())
