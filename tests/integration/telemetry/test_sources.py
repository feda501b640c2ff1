"""The collector's sources against real HTTP servers."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from engine.gateway.protocol import MAX_RECORDS_PER_ANSWER, GatewayStats, Outcome, RequestRecord
from engine.serving.certificates import AgentIdentity, create_agent_identity
from engine.serving.protocol import AgentMetrics, ShardMetrics
from tests.support.telemetry import at
from webapp.deployments.access import AgentAccess
from workers.collecting import agent_source, gateway_source
from workers.collecting.agent_source import AgentSilentError, AgentSource
from workers.collecting.gateway_source import GatewaySource, GatewayUnreachableError
from workers.collecting.requests import FinishedRequest

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _define_record(seq: int) -> RequestRecord:
    return RequestRecord(
        seq=seq,
        deployment="demo",
        shard_id="demo-r1",
        class_id="p32-o16",
        finished_at=at(seq).timestamp(),
        outcome=Outcome.OK,
        ttft_s=0.1,
        tpot_s=None,
        e2e_s=0.5,
        prompt_tokens=32,
        output_tokens=1,
        is_within_slo=True,
    )


class FakeGatewayServer:
    """Answers like a gateway that finished `num_records` requests."""

    def __init__(self, num_records: int, instance: str = "a") -> None:
        self.num_records = num_records
        self.instance = instance
        self.asked: list[tuple[int, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["since"])
        self.asked.append((since, request.headers.get("Authorization", "")))
        until = min(self.num_records, since + MAX_RECORDS_PER_ANSWER - 1)
        stats = GatewayStats(
            instance=self.instance,
            next_seq=until + 1,
            in_flight={"demo": 2},
            num_lost=0,
            records=[_define_record(seq) for seq in range(since, until + 1)],
        )
        return web.Response(text=stats.model_dump_json(), content_type="application/json")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """The collector's session."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield session


async def _serve(path: str, handler: Handler, context: ssl.SSLContext | None = None) -> TestServer:
    app = web.Application()
    app.router.add_get(path, handler)
    server = TestServer(app, scheme="https" if context else "http")
    await server.start_server(ssl=context)
    return server


class TestGatewaySource:
    """A gateway's requests..."""

    async def test_come_from_the_number_asked_for(self, session: aiohttp.ClientSession) -> None:
        fake = FakeGatewayServer(num_records=5)
        server = await _serve("/internal/stats", fake.answer)
        source = GatewaySource(session=session, url=str(server.make_url("/")), token="gateway-token")
        reading = await source.fetch(instance="a", since=4)
        assert reading.requests[0] == FinishedRequest(
            seq=4,
            deployment="demo",
            finished_at=at(4),
            outcome=Outcome.OK,
            ttft_s=0.1,
            tpot_s=None,
            e2e_s=0.5,
            prompt_tokens=32,
            output_tokens=1,
            is_within_slo=True,
        )
        assert [request.seq for request in reading.requests] == [4, 5]
        assert (reading.instance, reading.next_seq, reading.in_flight) == ("a", 6, {"demo": 2})
        assert fake.asked == [(4, "Bearer gateway-token")]
        await server.close()

    async def test_come_in_pages(self, session: aiohttp.ClientSession) -> None:
        fake = FakeGatewayServer(num_records=MAX_RECORDS_PER_ANSWER + 3)
        server = await _serve("/internal/stats", fake.answer)
        source = GatewaySource(session=session, url=str(server.make_url("/")), token="t")
        reading = await source.fetch(instance="a", since=1)
        assert [request.seq for request in reading.requests] == list(range(1, MAX_RECORDS_PER_ANSWER + 4))
        assert len(fake.asked) == 2
        await server.close()

    async def test_come_from_the_beginning_after_a_restart(self, session: aiohttp.ClientSession) -> None:
        fake = FakeGatewayServer(num_records=2, instance="b")
        server = await _serve("/internal/stats", fake.answer)
        source = GatewaySource(session=session, url=str(server.make_url("/")), token="t")
        reading = await source.fetch(instance="a", since=900)
        assert [request.seq for request in reading.requests] == [1, 2]
        assert reading.instance == "b"
        await server.close()

    async def test_are_missing_while_nothing_listens(self, session: aiohttp.ClientSession) -> None:
        source = GatewaySource(session=session, url="http://127.0.0.1:9", token="t")
        with pytest.raises(GatewayUnreachableError, match="does not answer"):
            await source.fetch(instance="a", since=1)

    async def test_are_missing_when_it_hangs(
        self, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gateway_source, "_TIMEOUT", aiohttp.ClientTimeout(total=0.05))
        gate = asyncio.Event()

        async def hang(_: web.Request) -> web.StreamResponse:
            await gate.wait()
            return web.Response()

        server = await _serve("/internal/stats", hang)
        source = GatewaySource(session=session, url=str(server.make_url("/")), token="t")
        with pytest.raises(GatewayUnreachableError, match="does not answer"):
            await source.fetch(instance="a", since=1)
        gate.set()
        await server.close()

    @pytest.mark.parametrize(("status", "text"), [(401, "wrong token"), (200, "<html>"), (200, '{"instance": "a"}')])
    async def test_are_missing_when_something_else_answers(
        self, session: aiohttp.ClientSession, status: int, text: str
    ) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=text)

        server = await _serve("/internal/stats", answer)
        source = GatewaySource(session=session, url=str(server.make_url("/")), token="t")
        with pytest.raises(GatewayUnreachableError, match="answered"):
            await source.fetch(instance="a", since=1)
        await server.close()


def _make_identity(folder: Path) -> tuple[AgentIdentity, ssl.SSLContext]:
    identity = create_agent_identity(host="127.0.0.1", now=datetime.now(UTC))
    (folder / "cert.pem").write_text(identity.cert_pem)
    (folder / "key.pem").write_text(identity.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return identity, context


def _define_access(url: str, identity: AgentIdentity) -> AgentAccess:
    return AgentAccess(
        machine_id=1,
        deployment_id=1,
        deployment_name="demo",
        url=url.replace("localhost", "127.0.0.1"),
        cert_pem=identity.cert_pem,
        token=identity.token,
    )


class TestAgentSource:
    """A node agent's figures..."""

    _METRICS = ShardMetrics(
        shard_id="s1",
        num_running=1,
        num_waiting=0,
        kv_cache_usage_ratio=0.5,
        prompt_tokens_total=10,
        generation_tokens_total=20,
        num_preemptions_total=0,
        observed_at=at(0),
    )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.authorization = request.headers["Authorization"]
        return web.Response(text=AgentMetrics(shards=[self._METRICS]).model_dump_json())

    async def test_come_over_a_pinned_connection(self, session: aiohttp.ClientSession, tmp_path: Path) -> None:
        identity, context = _make_identity(tmp_path)
        server = await _serve("/v1/metrics", self._answer, context)
        source = AgentSource(session=session, access=_define_access(str(server.make_url("/")), identity))
        assert await source.fetch() == [self._METRICS]
        assert self.authorization == f"Bearer {identity.token}"
        await server.close()

    async def test_are_not_taken_from_another_machine(self, session: aiohttp.ClientSession, tmp_path: Path) -> None:
        _, context = _make_identity(tmp_path)
        server = await _serve("/v1/metrics", self._answer, context)
        stranger = create_agent_identity(host="127.0.0.1", now=datetime.now(UTC))
        source = AgentSource(session=session, access=_define_access(str(server.make_url("/")), stranger))
        with pytest.raises(AgentSilentError, match="does not answer"):
            await source.fetch()
        await server.close()

    async def test_are_missing_while_nothing_listens(self, session: aiohttp.ClientSession) -> None:
        identity = create_agent_identity(host="127.0.0.1", now=datetime.now(UTC))
        source = AgentSource(session=session, access=_define_access("https://127.0.0.1:9", identity))
        with pytest.raises(AgentSilentError, match="does not answer"):
            await source.fetch()

    async def test_are_missing_when_it_hangs(
        self, session: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(agent_source, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))
        gate = asyncio.Event()

        async def hang(_: web.Request) -> web.StreamResponse:
            await gate.wait()
            return web.Response()

        identity, context = _make_identity(tmp_path)
        server = await _serve("/v1/metrics", hang, context)
        source = AgentSource(session=session, access=_define_access(str(server.make_url("/")), identity))
        with pytest.raises(AgentSilentError, match="does not answer"):
            await source.fetch()
        gate.set()
        await server.close()

    async def test_are_missing_when_it_refuses(self, session: aiohttp.ClientSession, tmp_path: Path) -> None:
        async def refuse(_: web.Request) -> web.StreamResponse:
            return web.Response(status=401)

        identity, context = _make_identity(tmp_path)
        server = await _serve("/v1/metrics", refuse, context)
        source = AgentSource(session=session, access=_define_access(str(server.make_url("/")), identity))
        with pytest.raises(AgentSilentError, match="answered 401"):
            await source.fetch()
        await server.close()
