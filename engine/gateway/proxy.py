"""The only module that talks to shards: attempts, retries, streams.

Until the first byte has gone to the caller an attempt may fail and another shard take over; after it the stream is
the caller's and its breaking is shown. When the caller leaves, aiohttp cancels the handler, which closes the
connection to the shard at once and makes vLLM abort.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

from engine.gateway import attempts as attempt_rules
from engine.gateway import completion as completions
from engine.gateway import errors
from engine.gateway.attempts import AttemptFailedError, AttemptLimits, Attempts
from engine.gateway.completion import Completion
from engine.gateway.errors import ShardsFailedError
from engine.gateway.health import FailureKind
from engine.gateway.metrics import GatewayMetrics
from engine.gateway.protocol import Outcome
from engine.gateway.recorder import ClientGoneError
from engine.gateway.router import Pick, Router
from engine.gateway.sse import StreamReader, find_usage, parse_json
from engine.gateway.track import Track
from engine.routing.snapshot import RoutingRequest
from engine.routing.table import ShardRoute

_EVENT_STREAM: Final = "text/event-stream"
_PASSED_HEADERS: Final = ("Content-Type", "Cache-Control", "Retry-After")
_FIRST_SERVER_STATUS: Final = 500
_FIRST_ERROR_STATUS: Final = 400
_MAX_EVENT_BYTES: Final = 8 * 1024 * 1024  # an event that never ends must not fill the memory
_MAX_QUOTE_CHARS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call to make for a caller.

    Attributes:
        path: path on the shard, e.g. `/v1/completions`.
        headers: headers for the shard.
    """

    path: str
    completion: Completion
    headers: Mapping[str, str]


class Proxy:
    """Carries requests to shards and their answers back."""

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        router: Router,
        metrics: GatewayMetrics,
        limits: AttemptLimits,
        clock: Callable[[], float],
    ) -> None:
        self._http: Final = http
        self._router: Final = router
        self._metrics: Final = metrics
        self._limits: Final = limits
        self._clock: Final = clock

    async def forward(self, client: web.Request, job: Job, track: Track) -> web.StreamResponse:
        """Answer the caller from the first shard that can.

        Raises:
            NoReadyShardError: none could be reached in time.
            ShardsFailedError: shards took the request and failed it.
            ClientGoneError: the caller left.
        """
        attempts = Attempts()
        while True:
            request = RoutingRequest(class_id=track.class_id, tried=attempts.tried)
            pick = self._router.pick(track.deployment.name, request)
            if pick is None:
                attempts = await self._wait(attempts, track)
                continue
            self._note_pick(pick, track)
            try:
                return await self._try_shard(client, job, pick.route, track)
            except AttemptFailedError as failure:
                attempts = self._note_failure(attempts, pick.route, failure, track)

    async def _wait(self, attempts: Attempts, track: Track) -> Attempts:
        """Pause before another round; give up when there is nothing to wait for or no time left."""
        is_hopeless = attempts.latest is None and not self._router.has_ready_shard(track.deployment.name)
        is_late = self._clock() + attempts.pause_s > track.arrived_at + self._limits.wait_s
        if is_hopeless or is_late:
            raise attempt_rules.define_final_error(attempts, model=track.deployment.model_name)
        await asyncio.sleep(attempts.pause_s)
        return attempt_rules.after_wait(attempts)

    def _note_pick(self, pick: Pick, track: Track) -> None:
        track.shard_id = pick.route.shard_id
        self._metrics.note_pick(track.deployment.name, pick.route.shard_id, pick.reason)

    def _note_failure(
        self, attempts: Attempts, route: ShardRoute, failure: AttemptFailedError, track: Track
    ) -> Attempts:
        track.forget_attempt()
        self._router.note_failure(route, failure.kind)
        self._metrics.note_retry(track.deployment.name, route.shard_id, failure.kind.value)
        after = attempt_rules.after_failure(attempts, route.shard_id, failure)
        if after.num_taken >= self._limits.max_taken:
            raise attempt_rules.define_final_error(after, model=track.deployment.model_name) from failure
        return after

    async def _try_shard(self, client: web.Request, job: Job, route: ShardRoute, track: Track) -> web.StreamResponse:
        async with await self._open(job, route) as upstream:
            if upstream.status >= _FIRST_SERVER_STATUS:
                raise AttemptFailedError(FailureKind.ERROR_STATUS, await _read_complaint(upstream))
            if upstream.content_type == _EVENT_STREAM:
                return await self._pass_stream(client, upstream, job, route, track)
            return await self._pass_whole(client, upstream, route, track)

    async def _open(self, job: Job, route: ShardRoute) -> aiohttp.ClientResponse:
        body = completions.build_upstream_body(job.completion, strips_seed=route.strips_seed)
        with _shard_failures():
            return await self._http.post(
                _build_url(route.url, job.path), data=body, headers=job.headers, allow_redirects=False
            )

    async def _pass_whole(
        self, client: web.Request, upstream: aiohttp.ClientResponse, route: ShardRoute, track: Track
    ) -> web.StreamResponse:
        with _shard_failures():
            body = await upstream.read()
        self._router.note_success(route)
        if upstream.status >= _FIRST_ERROR_STATUS:
            track.outcome = Outcome.REJECTED
        else:
            track.usage = find_usage(parse_json(body))
            track.latest_token_at = self._clock()
        response = web.Response(status=upstream.status, body=body, headers=_pick_headers(upstream))
        with _client_failures():
            await response.prepare(client)
            await response.write_eof()
        return response

    async def _pass_stream(
        self, client: web.Request, upstream: aiohttp.ClientResponse, job: Job, route: ShardRoute, track: Track
    ) -> web.StreamResponse:
        reader = StreamReader(hides_usage=job.completion.hides_usage)
        first = await self._read_first(upstream, reader, track)
        self._router.note_success(route)
        response = web.StreamResponse(status=upstream.status, headers=_pick_headers(upstream))
        with _client_failures():
            await response.prepare(client)
            await response.write(first)
        try:
            await self._pump(upstream, response, reader, track)
        except AttemptFailedError as failure:
            await self._show_break(client, response, failure, track)
            return response
        if reader.error_status is not None:
            track.outcome = Outcome.FAILED
        with _client_failures():
            await response.write_eof()
        return response

    async def _read_first(self, upstream: aiohttp.ClientResponse, reader: StreamReader, track: Track) -> bytes:
        """Return what goes to the caller first; until then the attempt may fail."""
        passed = b""
        while not passed:
            chunk = await self._read(upstream, reader, track)
            if chunk is None:
                raise AttemptFailedError(FailureKind.BROKEN, "the stream ended before its first event")
            passed = chunk
        if reader.num_pieces == 0 and (reader.error_status or 0) >= _FIRST_SERVER_STATUS:
            raise AttemptFailedError(FailureKind.ERROR_STATUS, passed.decode(errors="replace")[:_MAX_QUOTE_CHARS])
        return passed

    async def _pump(
        self, upstream: aiohttp.ClientResponse, response: web.StreamResponse, reader: StreamReader, track: Track
    ) -> None:
        while (passed := await self._read(upstream, reader, track)) is not None:
            if passed:
                with _client_failures():
                    await response.write(passed)
        if rest := reader.finish():
            with _client_failures():
                await response.write(rest)

    async def _read(self, upstream: aiohttp.ClientResponse, reader: StreamReader, track: Track) -> bytes | None:
        """Return the next bytes for the caller, possibly none of them; None at the end of the stream."""
        with _shard_failures():
            chunk = await upstream.content.readany()
        if not chunk:
            return None
        passed = reader.feed(chunk)
        track.note_pieces(reader.num_pieces, at=self._clock())
        track.usage = reader.usage
        if reader.num_waiting_bytes > _MAX_EVENT_BYTES:
            raise AttemptFailedError(FailureKind.BROKEN, "an event of the stream does not end")
        return passed

    async def _show_break(
        self, client: web.Request, response: web.StreamResponse, failure: AttemptFailedError, track: Track
    ) -> None:
        """End a stream that its shard left: an error event, then no proper end, so that nobody takes it for whole."""
        track.outcome = Outcome.FAILED
        error = ShardsFailedError(f"shard {track.shard_id} broke the stream: {failure.message}")
        with _client_failures():
            await response.write(b"data: " + errors.dump_error(error) + b"\n\n")
        if client.transport is not None:
            client.transport.close()  # after what is buffered has been sent


@contextmanager
def _shard_failures() -> Iterator[None]:
    """Translate what a shard's connection can do into failed attempts."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise AttemptFailedError(FailureKind.REFUSED, f"no connection: {error}") from error
    except TimeoutError as error:
        raise AttemptFailedError(FailureKind.TIMED_OUT, "nothing came for too long") from error
    except (aiohttp.ClientError, OSError) as error:
        raise AttemptFailedError(FailureKind.BROKEN, f"{type(error).__name__}: {error}") from error


@contextmanager
def _client_failures() -> Iterator[None]:
    """Translate a caller who left in the middle of a write."""
    try:
        yield
    except ConnectionError as error:
        raise ClientGoneError("the caller closed the connection") from error


async def _read_complaint(upstream: aiohttp.ClientResponse) -> str:
    with _shard_failures():
        text = (await upstream.content.read(4 * _MAX_QUOTE_CHARS)).decode(errors="replace")
    return f"status {upstream.status}: {text[:_MAX_QUOTE_CHARS]}"


def _pick_headers(upstream: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: upstream.headers[name] for name in _PASSED_HEADERS if name in upstream.headers}


@lru_cache(maxsize=4096)
def _build_url(base: str, path: str) -> URL:
    return URL(base.rstrip("/") + path)
