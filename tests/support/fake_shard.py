"""An OpenAI-shaped server with the faults of real ones. `python -m tests.support.fake_shard --port 9000` runs it alone.

What a stream consists of follows from the body alone (`define_stream`), so that tests can compare bytes.
"""

import argparse
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
import uvloop
from aiohttp import web

MODEL = "fake"
DEFAULT_TOKENS = 8
DONE = b"data: [DONE]\n\n"


class Fault(StrEnum):
    """What goes wrong with a completion."""

    NONE = "none"
    DROP_BEFORE_ANSWER = "drop_before_answer"  # takes the request, closes the connection
    DROP_BEFORE_EVENT = "drop_before_event"  # answers 200, closes before the first event
    DROP_IN_STREAM = "drop_in_stream"  # closes after `num_tokens_before_fault`
    ERROR_STATUS = "error_status"
    ERROR_EVENT_FIRST = "error_event_first"  # what vLLM sends when its engine dies during prefill
    ERROR_EVENT_IN_STREAM = "error_event_in_stream"
    GARBAGE = "garbage"  # no HTTP
    EMPTY_STREAM = "empty_stream"
    HANG = "hang"


@dataclass(kw_only=True)
class FakeShard:
    """State of one fake shard; tests change it while it runs.

    Attributes:
        interval_s: time per output token after the first [s]; ttft_s: time to the first one [s].
        num_started, num_aborted, num_running: completions that came, that the caller left, that run now.
        gate: streams stop after their first event until it is set.
        bodies, headers: what came, oldest first.
    """

    ttft_s: float = 0.0
    interval_s: float = 0.0
    fault: Fault = Fault.NONE
    num_tokens_before_fault: int = 2
    num_started: int = 0
    num_aborted: int = 0
    num_running: int = 0
    keeps_requests: bool = True
    gate: asyncio.Event | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw_bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    runner: web.AppRunner | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *, port: int = 0) -> None:
        """Listen; port 0 takes any that is free."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/completions", self._complete)
        self.runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", port, backlog=4096, reuse_address=True).start()
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and break every connection, as a killed process does."""
        runner, self.runner = self.runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        for connection in list(runner.server.connections if runner.server else ()):
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = orjson.loads(raw)
        self.num_started += 1
        if self.keeps_requests:
            self.bodies.append(body)
            self.raw_bodies.append(raw)
            self.headers.append(request.headers)
        self.num_running += 1
        try:
            return await self._answer(request, body)
        except asyncio.CancelledError:
            self.num_aborted += 1
            raise
        finally:
            self.num_running -= 1

    async def _answer(self, request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
        if self.fault is Fault.HANG:
            await asyncio.sleep(3600)
        if self.fault is Fault.DROP_BEFORE_ANSWER:
            return _break(request)
        if self.fault is Fault.GARBAGE:
            assert request.transport is not None
            request.transport.write(b"\x00\x01 this is no HTTP\r\n\r\n")
            return _break(request)
        if self.fault is Fault.ERROR_STATUS:
            return web.Response(status=500, body=define_error(500), content_type="application/json")
        if body.get("max_tokens", 1) > 100_000:
            return web.Response(status=400, body=define_error(400), content_type="application/json")
        if body.get("stream"):
            return await self._stream(request, body)
        await asyncio.sleep(self.ttft_s + self.interval_s * (count_tokens(body) - 1))
        return web.Response(body=define_answer(request.path, body), content_type="application/json")

    async def _stream(self, request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        if self.fault is Fault.DROP_BEFORE_EVENT:
            return _break(request)
        events = self._define_events(request.path, body)
        pause_s = self.ttft_s
        for event in events:
            if pause_s:
                await asyncio.sleep(pause_s)
            await response.write(event)
            pause_s = self.interval_s
            if self.gate is not None:
                await self.gate.wait()
        if self.fault is Fault.DROP_IN_STREAM:
            return _break(request)
        await response.write_eof()
        return response

    def _define_events(self, path: str, body: Mapping[str, Any]) -> list[bytes]:
        events = define_stream(path, body)
        error = b"data: " + define_error(500) + b"\n\n"
        if self.fault is Fault.EMPTY_STREAM:
            return []
        if self.fault is Fault.ERROR_EVENT_FIRST:
            return [error, DONE]
        if self.fault is Fault.ERROR_EVENT_IN_STREAM:
            return [*events[: self.num_tokens_before_fault], error, DONE]
        if self.fault is Fault.DROP_IN_STREAM:
            return events[: self.num_tokens_before_fault]
        return events


def _break(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.StreamResponse()


def count_tokens(body: Mapping[str, Any]) -> int:
    """Return how many tokens an answer has."""
    return int(body.get("max_tokens") or body.get("max_completion_tokens") or DEFAULT_TOKENS)


def define_usage(body: Mapping[str, Any]) -> dict[str, int]:
    """Return the usage of an answer."""
    tokens = count_tokens(body)
    return {"prompt_tokens": 7, "total_tokens": 7 + tokens, "completion_tokens": tokens}


def define_error(status: int) -> bytes:
    """Return an error body."""
    kind = "InternalServerError" if status >= 500 else "BadRequestError"
    return orjson.dumps({"error": {"message": "it went wrong", "type": kind, "param": None, "code": status}})


def define_answer(path: str, body: Mapping[str, Any]) -> bytes:
    """Return the answer in one piece."""
    text = "".join(f" t{index}" for index in range(count_tokens(body)))
    if path.endswith("/chat/completions"):
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}}
    else:
        choice = {"index": 0, "text": text}
    choice["finish_reason"] = "length"
    return orjson.dumps({"id": "cmpl-1", "model": body.get("model"), "choices": [choice], "usage": define_usage(body)})


def define_stream(path: str, body: Mapping[str, Any]) -> list[bytes]:
    """Return the events of a stream as vLLM would send them."""
    is_chat, tokens = path.endswith("/chat/completions"), count_tokens(body)
    choices = [_define_choice(is_chat, index, is_last=index == tokens - 1) for index in range(tokens)]
    if is_chat:
        opening = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        choices.insert(0, opening)
    events = [_define_event(body, {"choices": [choice]}) for choice in choices]
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(_define_event(body, {"choices": [], "usage": define_usage(body)}))
    return [*events, DONE]


def _define_choice(is_chat: bool, index: int, *, is_last: bool) -> dict[str, Any]:
    text = f" t{index} Gr\u00fc\u00dfe \u4f60"
    said: dict[str, Any] = {"delta": {"content": text}} if is_chat else {"text": text}
    return {"index": 0, **said, "logprobs": None, "finish_reason": "length" if is_last else None}


def _define_event(body: Mapping[str, Any], fields: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps({"id": "cmpl-1", "created": 1, "model": body.get("model"), **fields}) + b"\n\n"


async def _serve(shard: FakeShard, port: int) -> None:
    await shard.start(port=port)
    print(shard.port, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run a fake shard in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ttft-s", type=float, default=0.0)
    parser.add_argument("--interval-s", type=float, default=0.0)
    arguments = parser.parse_args()
    shard = FakeShard(ttft_s=arguments.ttft_s, interval_s=arguments.interval_s, keeps_requests=False)
    uvloop.run(_serve(shard, arguments.port))


if __name__ == "__main__":
    main()
