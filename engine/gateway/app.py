"""The gateway's HTTP surface: OpenAI's routes for callers, statistics and metrics for the console."""

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from uuid import uuid4

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from engine.gateway import completion as completions
from engine.gateway import directory, errors, metrics
from engine.gateway.completion import Completion
from engine.gateway.errors import (
    ApiError,
    BodyTooLargeError,
    InternalError,
    InvalidBodyError,
    InvalidKeyError,
    UnknownModelError,
    UnknownRouteError,
)
from engine.gateway.proxy import Job, Proxy
from engine.gateway.recorder import ClientGoneError, Recorder
from engine.gateway.router import Router
from engine.gateway.track import Track
from engine.routing import classify
from engine.routing.table import DeploymentRoutes

_LOG: Final = logging.getLogger("engine.gateway")
_JSON: Final = "application/json"
_REQUEST_ID_HEADER: Final = "X-Request-Id"
_REQUEST_ID: Final = web.RequestKey("request_id", str)
_USABLE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACE_HEADERS: Final = ("traceparent", "tracestate")
_COMPLETION_PATHS: Final = ("/v1/chat/completions", "/v1/completions")
DEFAULT_MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # a prompt of 128 k tokens is about 0.5 MB; images take the rest

StreamHandler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GatewayApi:
    """Handlers; every one but `get_health` asks who calls."""

    def __init__(
        self,
        *,
        proxy: Proxy,
        router: Router,
        recorder: Recorder,
        token: str,
        clock: Callable[[], float],
    ) -> None:
        self._proxy: Final = proxy
        self._router: Final = router
        self._recorder: Final = recorder
        self._token_digest: Final = _digest(token)
        self._clock: Final = clock
        self._started_at: Final = int(time.time())

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answer a completion from a shard."""
        arrived_at = self._clock()
        deployment = self._find_deployment(request)
        with self._recorder.follow(deployment, arrived_at=arrived_at) as track:
            completion = completions.parse_completion(await request.read())
            _check_model(completion.model, deployment)
            _classify(track, completion)
            job = Job(path=request.path, completion=completion, headers=_build_shard_headers(request))
            return await self._proxy.forward(request, job, track)

    async def list_models(self, request: web.Request) -> web.Response:
        """Answer with the model that the caller's key opens."""
        deployment = self._find_deployment(request)
        return _answer({"object": "list", "data": [self._define_model(deployment)]})

    async def get_model(self, request: web.Request) -> web.Response:
        """Answer with one model."""
        deployment = self._find_deployment(request)
        _check_model(request.match_info["model"], deployment)
        return _answer(self._define_model(deployment))

    async def get_health(self, _: web.Request) -> web.Response:
        """Answer that the process lives, and by which table it routes."""
        return _answer({"status": "ok", "table_version": self._router.directory.version})

    async def get_metrics(self, request: web.Request) -> web.Response:
        """Answer with the Prometheus metrics."""
        self._check_token(request)
        return web.Response(body=self._recorder.render_metrics(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def get_stats(self, request: web.Request) -> web.Response:
        """Answer with the requests finished since a position."""
        self._check_token(request)
        text = request.query.get("since", "1")
        if not text.isdecimal() or len(text) > 18:
            raise InvalidBodyError("since: give the next_seq of the previous answer", param="since")
        stats = self._recorder.read_stats(int(text))
        return _answer(
            {
                "instance": stats.instance,
                "next_seq": stats.next_seq,
                "in_flight": stats.in_flight,
                "num_lost": stats.num_lost,
                "records": stats.records,
            }
        )

    def _find_deployment(self, request: web.Request) -> DeploymentRoutes:
        return directory.find_deployment(self._router.directory, request.headers.get("Authorization", ""))

    def _check_token(self, request: web.Request) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(_digest(token), self._token_digest):
            raise InvalidKeyError("this route needs the gateway's token")

    def _define_model(self, deployment: DeploymentRoutes) -> dict[str, object]:
        return {"id": deployment.model_name, "object": "model", "created": self._started_at, "owned_by": "medley"}


def build_app(api: GatewayApi, *, max_body_bytes: int = DEFAULT_MAX_BODY_BYTES) -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[_serve], client_max_size=max_body_bytes)
    app.on_response_prepare.append(_add_request_id)
    for path in _COMPLETION_PATHS:
        app.router.add_post(path, api.complete)
    app.router.add_get("/v1/models", api.list_models)
    app.router.add_get("/v1/models/{model:.+}", api.get_model)
    app.router.add_get("/healthz", api.get_health)
    app.router.add_get("/metrics", api.get_metrics)
    app.router.add_get("/internal/stats", api.get_stats)
    return app


@web.middleware
async def _serve(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, and every error OpenAI's shape."""
    request[_REQUEST_ID] = _define_request_id(request)
    try:
        return await handler(request)
    except ApiError as error:
        return _answer_error(error)
    except web.HTTPRequestEntityTooLarge as error:
        return _answer_error(BodyTooLargeError(f"the body is too large: {error.text}"))
    except web.HTTPError as error:
        return _answer_error(UnknownRouteError(f"{request.method} {request.path}: {error.reason}"), error.status)
    except (ClientGoneError, web.HTTPException):
        raise
    except web.RequestPayloadError as error:
        return _answer_error(InvalidBodyError(f"the body could not be read: {error}"))
    except Exception:  # noqa: BLE001  # the outermost edge: a defect is logged, and callers see no trace of it
        if request.writer.output_size > 0:
            raise  # too late for an answer: the server closes the connection
        _LOG.exception("request %s failed", request[_REQUEST_ID])
        return _answer_error(InternalError(f"internal error; request id {request[_REQUEST_ID]}"))


async def _add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[_REQUEST_ID_HEADER] = request.get(_REQUEST_ID, "")


def _define_request_id(request: web.Request) -> str:
    """Return the caller's id where it is fit for headers and logs, else a new one."""
    given = request.headers.get(_REQUEST_ID_HEADER, "")
    return given if _USABLE_REQUEST_ID.fullmatch(given) else uuid4().hex


def _build_shard_headers(request: web.Request) -> dict[str, str]:
    """Return what a shard may know: the request's id and trace, never the caller's key."""
    headers = {"Content-Type": _JSON, _REQUEST_ID_HEADER: request[_REQUEST_ID]}
    return headers | {name: request.headers[name] for name in _TRACE_HEADERS if name in request.headers}


def _check_model(model: str, deployment: DeploymentRoutes) -> None:
    if model != deployment.model_name:
        raise UnknownModelError(
            f"there is no model {model!r} for this key: it opens {deployment.model_name!r}", param="model"
        )


def _classify(track: Track, completion: Completion) -> None:
    found = classify.classify(
        track.deployment.classes,
        prompt_tokens=completion.prompt_tokens,
        max_output_tokens=completion.max_output_tokens,
    )
    track.class_id = "" if found is None else found.id
    track.num_sequences = completion.num_sequences


def _answer(data: object) -> web.Response:
    return web.Response(body=orjson.dumps(data), content_type=_JSON)


def _answer_error(error: ApiError, status: int | None = None) -> web.Response:
    return web.Response(
        body=errors.dump_error(error),
        status=error.status if status is None else status,
        content_type=_JSON,
        headers=error.headers,
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
