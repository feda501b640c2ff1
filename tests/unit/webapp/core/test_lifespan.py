"""Start and stop of the web process."""

import asyncio
import logging
from collections.abc import Mapping

import pytest

from webapp.core import lifespan


class Server:
    """The server's side of the lifespan protocol."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._to_app: asyncio.Queue[Mapping[str, object]] = asyncio.Queue()
        self.is_started = asyncio.Event()

    async def receive(self) -> Mapping[str, object]:
        """Give the application its next message."""
        return await self._to_app.get()

    async def send(self, message: Mapping[str, object]) -> None:
        """Keep what the application says."""
        self.sent.append(str(message["type"]))
        self.is_started.set()

    def say(self, kind: str) -> None:
        """Queue a message."""
        self._to_app.put_nowait({"type": kind})


class TestRunLifespan:
    async def test_runs_the_relay_while_the_server_serves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        steps: list[str] = []

        async def run() -> None:
            steps.append("started")
            try:
                await asyncio.Event().wait()
            finally:
                steps.append("stopped")

        monkeypatch.setattr(lifespan.relay, "run", run)
        server = Server()
        server.say("lifespan.startup")
        task = asyncio.create_task(lifespan.run_lifespan({}, server.receive, server.send))
        await server.is_started.wait()
        await asyncio.sleep(0)
        assert (server.sent, steps) == (["lifespan.startup.complete"], ["started"])
        server.say("lifespan.shutdown")
        await task
        assert server.sent[-1] == "lifespan.shutdown.complete"
        assert steps == ["started", "stopped"]

    async def test_stops_cleanly_after_the_relay_failed(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def run() -> None:
            raise ValueError("broken")

        monkeypatch.setattr(lifespan.relay, "run", run)
        server = Server()
        server.say("lifespan.startup")
        with caplog.at_level(logging.CRITICAL):
            task = asyncio.create_task(lifespan.run_lifespan({}, server.receive, server.send))
            await server.is_started.wait()
            await asyncio.sleep(0)
            server.say("lifespan.shutdown")
            await task
        assert server.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert [record.message for record in caplog.records] == [
            "the event relay ended: pages get no live updates until a restart"
        ]
