"""Who may call what, and how the gateway says no."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.gateway.protocol import Outcome
from tests.support.fake_shard import MODEL, FakeShard
from tests.support.gateways import (
    AUTH,
    KEY,
    TOKEN_AUTH,
    Stage,
    define_body,
    define_deployment,
    define_route,
    define_table,
    run_stage,
)

TEXT = "/v1/completions"
Pair = tuple[FakeShard, FakeShard]


async def fetch(stage: Stage, method: str, path: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    async with stage.http.request(method, stage.url + path, **arguments) as answer:
        assert answer.headers["X-Request-Id"]
        return answer.status, json.loads(await answer.read())


def is_error(status: int, code: str, param: str | None, error: dict[str, Any]) -> bool:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return set(error) == {"message", "type", "param", "code"} and (error["type"], error["code"], error["param"]) == (
        kind,
        code,
        param,
    )


class TestKeys:
    @pytest.mark.parametrize("path", [TEXT, "/v1/chat/completions", "/v1/models", f"/v1/models/{MODEL}"])
    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({}, "missing_api_key"),
            ({"Authorization": "Bearer "}, "missing_api_key"),
            ({"Authorization": f"Basic {KEY}"}, "missing_api_key"),
            ({"Authorization": "Bearer sk-other"}, "invalid_api_key"),
            ({"Authorization": "Bearer gateway-token"}, "invalid_api_key"),
            ({"Authorization": f"Bearer {KEY}x"}, "invalid_api_key"),
        ],
    )
    async def test_are_asked_for(
        self, stage: Stage, shards: Pair, path: str, headers: dict[str, str], code: str
    ) -> None:
        method = "GET" if "models" in path else "POST"
        status, answer = await fetch(stage, method, path, headers=headers, data=b"{}" if method == "POST" else None)
        assert status == 401
        assert is_error(401, code, None, answer["error"])
        assert shards[0].num_started + shards[1].num_started == 0
        assert (await stage.read_stats()).next_seq == 1

    async def test_open_their_own_deployment_only(self, stage: Stage, shards: Pair) -> None:
        other = define_deployment(define_route(shards[1].url, "x"), keys=["sk-x"], name="code", model_name="coder")
        await stage.publish(define_table(define_deployment(define_route(shards[0].url, "a")), other))
        headers = {"Authorization": "Bearer sk-x"}
        status, answer = await fetch(stage, "POST", TEXT, json=define_body(), headers=headers)
        assert status == 404
        assert is_error(404, "model_not_found", "model", answer["error"])
        status, answer = await fetch(stage, "POST", TEXT, json=define_body(model="coder"), headers=headers)
        assert (status, answer["model"]) == (200, "coder")
        assert (shards[0].num_started, shards[1].num_started) == (0, 1)

    async def test_stop_working_when_they_are_revoked(self, stage: Stage, shards: Pair) -> None:
        routes = define_route(shards[0].url, "a")
        await stage.publish(define_table(define_deployment(routes, keys=[KEY, "sk-2"])))
        assert (await stage.complete())[0] == 200
        await stage.publish(define_table(define_deployment(routes, keys=["sk-2"])))
        assert (await stage.complete())[0] == 401


class TestModels:
    async def test_lists_the_model_of_the_key(self, stage: Stage) -> None:
        status, answer = await fetch(stage, "GET", "/v1/models", headers=AUTH)
        assert (status, answer["object"]) == (200, "list")
        assert [set(item) for item in answer["data"]] == [{"id", "object", "created", "owned_by"}]
        assert (answer["data"][0]["id"], answer["data"][0]["object"]) == (MODEL, "model")

    async def test_shows_one_model_even_with_a_slash(self, stage: Stage, shards: Pair) -> None:
        await stage.publish(define_table(define_deployment(define_route(shards[0].url, "a"), model_name="org/m")))
        status, answer = await fetch(stage, "GET", "/v1/models/org/m", headers=AUTH)
        assert (status, answer["id"]) == (200, "org/m")

    async def test_does_not_know_others(self, stage: Stage) -> None:
        status, answer = await fetch(stage, "GET", "/v1/models/gpt", headers=AUTH)
        assert status == 404
        assert is_error(404, "model_not_found", "model", answer["error"])


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (b"", None),
            (b"{", None),
            (b"[]", None),
            (b'{"prompt":"x"}', "model"),
            (b'{"model":7}', "model"),
            (b'{"model":"fake","stream":"true"}', "stream"),
            (b'{"model":"fake","stream":true,"stream_options":[]}', "stream_options"),
        ],
    )
    async def test_that_cannot_be_routed_are_refused(
        self, stage: Stage, shards: Pair, body: bytes, param: str | None
    ) -> None:
        status, answer = await fetch(stage, "POST", TEXT, data=body, headers=AUTH)
        assert status == 400
        assert is_error(400, "invalid_body", param, answer["error"])
        assert shards[0].num_started + shards[1].num_started == 0
        assert [record.outcome for record in (await stage.read_stats()).records] == [Outcome.REJECTED]

    async def test_that_are_too_large_are_refused(self, shards: Pair, tmp_path: Path) -> None:
        table = define_table(define_deployment(define_route(shards[0].url, "a")))
        async with run_stage(table, tmp_path, max_body_bytes=1000) as stage:
            assert (await stage.complete(prompt="x" * 800))[0] == 200
            status, answer = await fetch(stage, "POST", TEXT, json=define_body(prompt="x" * 1000), headers=AUTH)
            assert status == 413
            assert is_error(413, "body_too_large", None, answer["error"])
            assert (await stage.read_stats()).in_flight == {}


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/", 404), ("POST", "/tokenize", 404), ("POST", "/invocations", 404), ("GET", TEXT, 405)],
    )
    async def test_that_do_not_exist_say_so(self, stage: Stage, method: str, path: str, status: int) -> None:
        found, answer = await fetch(stage, method, path, headers=AUTH)
        assert found == status
        assert is_error(404, "unknown_route", None, answer["error"])

    async def test_health_is_open(self, stage: Stage) -> None:
        status, answer = await fetch(stage, "GET", "/healthz")
        assert (status, answer) == (200, {"status": "ok", "table_version": stage.console.table.version})

    @pytest.mark.parametrize("path", ["/metrics", "/internal/stats?since=1"])
    @pytest.mark.parametrize("headers", [{}, AUTH, {"Authorization": "Basic gateway-token"}])
    async def test_of_the_console_need_its_token(self, stage: Stage, path: str, headers: dict[str, str]) -> None:
        status, answer = await fetch(stage, "GET", path, headers=headers)
        assert status == 401
        assert is_error(401, "invalid_api_key", None, answer["error"])

    async def test_without_a_ready_shard_answer_503_at_once(self, stage: Stage, shards: Pair) -> None:
        route = define_route(shards[0].url, "a", accepts_requests=False)
        await stage.publish(define_table(define_deployment(route)))
        async with stage.post(TEXT, define_body()) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert is_error(503, "no_ready_shard", None, (await answer.json())["error"])
        record = (await stage.read_stats()).records[0]
        assert (record.outcome, record.shard_id, record.class_id) == (Outcome.FAILED, "", "p32-o8")


class TestStats:
    async def test_go_on_where_the_previous_answer_ended(self, stage: Stage) -> None:
        for _ in range(3):
            await stage.complete()
        first = await stage.read_stats()
        assert ([record.seq for record in first.records], first.next_seq) == ([1, 2, 3], 4)
        await stage.complete()
        second = await stage.read_stats(first.next_seq)
        assert ([record.seq for record in second.records], second.next_seq) == ([4], 5)
        assert second.instance == first.instance
        assert (second.num_lost, second.in_flight) == (0, {})

    @pytest.mark.parametrize("since", ["-1", "x", "1.5", "", "9" * 19])
    async def test_refuse_a_position_that_is_none(self, stage: Stage, since: str) -> None:
        status, answer = await fetch(stage, "GET", f"/internal/stats?since={since}", headers=TOKEN_AUTH)
        assert status == 400
        assert is_error(400, "invalid_body", "since", answer["error"])


class TestMetrics:
    async def test_count_requests_tokens_and_picks(self, stage: Stage) -> None:
        for _ in range(4):
            await stage.complete(stream=True)
        async with stage.http.get(stage.url + "/metrics", headers=TOKEN_AUTH) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            lines = (await answer.text()).splitlines()
        assert 'medley_gateway_requests_total{deployment="chat",outcome="ok",shard="a"} 2.0' in lines
        assert 'medley_gateway_picks_total{deployment="chat",reason="planned",shard="b"} 2.0' in lines
        assert 'medley_gateway_tokens_total{deployment="chat",kind="output"} 16.0' in lines
        assert 'medley_gateway_ttft_seconds_count{deployment="chat"} 4.0' in lines
        assert 'medley_gateway_tpot_seconds_count{deployment="chat"} 4.0' in lines
        assert 'medley_gateway_e2e_seconds_count{deployment="chat"} 4.0' in lines
        assert 'medley_gateway_in_flight{deployment="chat"} 0.0' in lines
