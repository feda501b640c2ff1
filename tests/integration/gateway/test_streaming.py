"""Answers reach the caller as the shard made them."""

import json
from typing import Any

import pytest

from engine.gateway.protocol import Outcome
from tests.support.fake_shard import FakeShard, define_answer, define_stream, define_usage
from tests.support.gateways import Stage, define_body, define_deployment, define_route, define_table

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
Pair = tuple[FakeShard, FakeShard]


def define_call(path: str, **fields: Any) -> dict[str, Any]:
    body = define_body(**fields)
    if path == CHAT:
        body["messages"] = [{"role": "user", "content": body.pop("prompt")}]
    return body


async def read(stage: Stage, path: str, body: dict[str, Any]) -> bytes:
    async with stage.post(path, body) as answer:
        assert answer.status == 200
        return bytes(await answer.read())


class TestStreams:
    @pytest.mark.parametrize("path", [CHAT, TEXT])
    @pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
    async def test_pass_byte_for_byte(self, stage: Stage, path: str, options: dict[str, Any]) -> None:
        body = define_call(path, stream=True, max_tokens=5, **options)
        assert await read(stage, path, body) == b"".join(define_stream(path, body))

    @pytest.mark.parametrize("path", [CHAT, TEXT])
    async def test_are_counted_without_the_caller_asking(self, stage: Stage, shards: Pair, path: str) -> None:
        body = define_call(path, stream=True, max_tokens=5)
        assert b"usage" not in await read(stage, path, body)
        sent = (shards[0].bodies + shards[1].bodies)[0]
        assert sent == body | {"stream_options": {"include_usage": True}}
        record = (await stage.read_stats()).records[0]
        assert (record.prompt_tokens, record.output_tokens) == (7, 5)

    async def test_hide_no_more_than_the_usage_chunk(self, stage: Stage, shards: Pair) -> None:
        body = define_call(TEXT, stream=True, stream_options={"include_usage": False, "continuous_usage_stats": True})
        answer = await read(stage, TEXT, body)
        assert answer == b"".join(define_stream(TEXT, define_call(TEXT, stream=True)))
        assert (shards[0].bodies + shards[1].bodies)[0]["stream_options"] == {"include_usage": True}

    async def test_pass_while_they_come(self, stage: Stage, shards: Pair) -> None:
        for shard in shards:
            shard.interval_s = 0.02
        body = define_call(TEXT, stream=True, max_tokens=6)
        async with stage.post(TEXT, body) as answer:
            pieces = [chunk async for chunk in answer.content.iter_any()]
        assert b"".join(pieces) == b"".join(define_stream(TEXT, body))
        assert len(pieces) >= 5

    async def test_are_measured(self, stage: Stage, shards: Pair) -> None:
        for shard in shards:
            shard.ttft_s, shard.interval_s = 0.05, 0.02
        await read(stage, CHAT, define_call(CHAT, stream=True, max_tokens=5))
        record = (await stage.read_stats()).records[0]
        assert record.outcome is Outcome.OK
        assert record.is_within_slo
        assert record.ttft_s is not None
        assert record.tpot_s is not None
        assert record.e2e_s is not None
        assert record.ttft_s >= 0.05  # the role chunk says nothing: the first token comes after it
        assert record.tpot_s >= 0.02
        assert record.e2e_s == pytest.approx(record.ttft_s + 4 * record.tpot_s)


class TestAnswersInOnePiece:
    @pytest.mark.parametrize("path", [CHAT, TEXT])
    async def test_pass_untouched_and_are_counted(self, stage: Stage, shards: Pair, path: str) -> None:
        body = define_call(path, max_tokens=3)
        assert await read(stage, path, body) == define_answer(path, body)
        assert (shards[0].bodies + shards[1].bodies)[0] == body
        record = (await stage.read_stats()).records[0]
        assert (record.prompt_tokens, record.output_tokens) == (7, define_usage(body)["completion_tokens"])
        assert (record.ttft_s, record.tpot_s, record.outcome) == (None, None, Outcome.OK)
        assert record.e2e_s is not None

    async def test_of_a_shard_that_refuses_the_body_pass_untouched(self, stage: Stage) -> None:
        status, body = await stage.complete(max_tokens=100_001)
        assert (status, json.loads(body)["error"]["type"]) == (400, "BadRequestError")
        record = (await stage.read_stats()).records[0]
        assert (record.outcome, record.is_within_slo) == (Outcome.REJECTED, False)


class TestRequests:
    async def test_reach_the_shard_as_they_came(self, stage: Stage, shards: Pair) -> None:
        raw = b'{ "model":"fake", "prompt":"x",\n "temperature":1.0, "tools":[{"deep":[1,2.50]}], "priority":-3 }'
        headers = {"Authorization": "Bearer sk-medley-test", "Content-Type": "text/plain"}
        async with stage.http.post(stage.url + TEXT, data=raw, headers=headers) as answer:
            assert answer.status == 200
        assert shards[0].raw_bodies + shards[1].raw_bodies == [raw]

    async def test_keep_their_id_and_trace_but_not_their_key(self, stage: Stage, shards: Pair) -> None:
        sent = {"X-Request-Id": "job-7/a", "traceparent": "00-aa-bb-01", "Cookie": "session=1"}
        async with stage.post(TEXT, define_body(), **sent) as answer:
            assert answer.headers["X-Request-Id"] == "job-7/a"
        seen = (shards[0].headers + shards[1].headers)[0]
        assert (seen["X-Request-Id"], seen["traceparent"]) == ("job-7/a", "00-aa-bb-01")
        assert "Authorization" not in seen
        assert "Cookie" not in seen

    @pytest.mark.parametrize("given", ["", "with space", "x" * 129, 'quote"'])
    async def test_get_an_id_where_theirs_is_unfit(self, stage: Stage, shards: Pair, given: str) -> None:
        async with stage.post(TEXT, define_body(stream=True), **{"X-Request-Id": given}) as answer:
            new_id = answer.headers["X-Request-Id"]
        assert len(new_id) == 32
        assert (shards[0].headers + shards[1].headers)[0]["X-Request-Id"] == new_id

    async def test_follow_the_weights(self, stage: Stage, shards: Pair) -> None:
        routes = [
            define_route(shards[0].url, "a", weight=3.0),
            define_route(shards[1].url, "b"),
        ]
        await stage.publish(define_table(define_deployment(*routes)))
        for _ in range(40):
            assert (await stage.complete())[0] == 200
        assert (shards[0].num_started, shards[1].num_started) == (30, 10)

    async def test_are_routed_by_their_class(self, stage: Stage, shards: Pair) -> None:
        routes = [
            define_route(shards[0].url, "a", weights={"p32-o8": 1.0}),
            define_route(shards[1].url, "b", weights={"p512-o64": 1.0}),
        ]
        await stage.publish(define_table(define_deployment(*routes)))
        for _ in range(3):
            await stage.complete(max_tokens=8)
        for _ in range(2):
            await stage.complete(prompt="word " * 400, max_tokens=64)
        assert (shards[0].num_started, shards[1].num_started) == (3, 2)
        records = (await stage.read_stats()).records
        assert [record.class_id for record in records] == ["p32-o8"] * 3 + ["p512-o64"] * 2

    async def test_lose_their_seed_for_shards_that_cannot_bear_one(self, stage: Stage, shards: Pair) -> None:
        routes = [define_route(shards[0].url, "a", strips_seed=True)]
        await stage.publish(define_table(define_deployment(*routes)))
        await stage.complete(seed=42, temperature=1.0)
        assert shards[0].bodies[0] == define_body(temperature=1.0)
