"""The agent's HTTP surface: bearer token, strict bodies, one call into the fleet per request."""

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import ValidationError

from engine.errors import EngineError, InvalidInputError
from engine.serving import files, launch_args, shard_metrics
from engine.serving.fleet import Fleet
from engine.serving.protocol import (
    AgentMetrics,
    AgentStatus,
    DesiredShards,
    ShardLog,
    ShardMetrics,
    ShardReport,
    ShardState,
)
from engine.serving.shard_host import ShardHost
from engine.serving.shard_metrics import UnknownMetricsError
from engine.serving.shard_probe import HttpShardProbe

_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_MAX_TAIL_LINES: Final = 5000
_DEFAULT_TAIL_LINES: Final = 200


class AgentApi:
    """Handlers of `/v1`."""

    def __init__(self, *, fleet: Fleet, host: ShardHost, probe: HttpShardProbe) -> None:
        self._fleet = fleet
        self._host = host
        self._probe = probe

    async def get_status(self, _: web.Request) -> web.Response:
        """Answer with all shards and whether vLLM is there."""
        return self._answer_status()

    async def put_shards(self, request: web.Request) -> web.Response:
        """Take the complete list of shards."""
        try:
            desired = DesiredShards.model_validate_json(await request.read())
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "body"
            raise InvalidInputError(f"{field}: {first['msg']}", field=field, remedy="mend the list") from error
        for spec in desired.shards:
            launch_args.check_extra_args(spec)
        self._fleet.put(desired.shards)
        return self._answer_status()

    async def get_metrics(self, _: web.Request) -> web.Response:
        """Answer with the figures of every shard that answers in time."""
        running = [one for one in self._fleet.list_reports() if one.state in {ShardState.READY, ShardState.UNHEALTHY}]
        found = await asyncio.gather(*(self._read_metrics(report) for report in running))
        return _answer(AgentMetrics(shards=[one for one in found if one is not None]).model_dump_json())

    async def get_log(self, request: web.Request) -> web.Response:
        """Answer with the latest lines of one shard's log."""
        shard_id = request.match_info["shard_id"]
        folder = self._fleet.find_folder(shard_id)
        if folder is None:
            raise web.HTTPNotFound(text=f"there is no shard {shard_id}")
        text = request.query.get("tail", str(_DEFAULT_TAIL_LINES))
        if not text.isdecimal() or int(text) > _MAX_TAIL_LINES:
            raise InvalidInputError("tail is not a line count", field="tail", remedy=f"give 0 to {_MAX_TAIL_LINES}")
        lines = files.read_tail(folder.log, lines=int(text))
        return _answer(ShardLog(shard_id=shard_id, lines=lines).model_dump_json())

    def _answer_status(self) -> web.Response:
        status = AgentStatus(shards=self._fleet.list_reports(), vllm=self._host.check_vllm())
        return _answer(status.model_dump_json())

    async def _read_metrics(self, report: ShardReport) -> ShardMetrics | None:
        text = None if report.port is None else await self._probe.read_metrics(report.port)
        if text is None:
            return None
        try:
            return shard_metrics.parse_shard_metrics(text, shard_id=report.shard_id, observed_at=datetime.now(UTC))
        except UnknownMetricsError:
            return None  # not there yet: the first scrape after a start may lack counters


def build_app(*, api: AgentApi, token_sha256: str) -> web.Application:
    """Return the application; every route asks for the token."""
    app = web.Application(middlewares=[_build_guard(token_sha256), _translate_errors], client_max_size=_MAX_BODY_BYTES)
    app.router.add_get("/v1/status", api.get_status)
    app.router.add_put("/v1/shards", api.put_shards)
    app.router.add_get("/v1/metrics", api.get_metrics)
    app.router.add_get("/v1/shards/{shard_id}/log", api.get_log)
    return app


def _build_guard(token_sha256: str) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        digest = hashlib.sha256(token.encode()).hexdigest()
        if kind != "Bearer" or not hmac.compare_digest(digest, token_sha256):
            raise web.HTTPUnauthorized(text="the bearer token is missing or wrong")
        return await handler(request)

    return guard


@web.middleware
async def _translate_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except InvalidInputError as error:
        return web.json_response({"error": {"code": error.code, "message": error.message}}, status=400)
    except EngineError as error:
        return web.json_response({"error": {"code": error.code, "message": error.message}}, status=503)


def _answer(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")
