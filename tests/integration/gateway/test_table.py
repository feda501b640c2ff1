"""Where the gateway's knowledge comes from, and what it does when nothing comes."""

import asyncio
import json
import stat
import time
from pathlib import Path

import pytest

from engine.gateway.puller import PullResult
from engine.routing.table import RoutingTable
from tests.support.fake_shard import FakeShard
from tests.support.gateways import (
    KEY,
    FakeConsole,
    Stage,
    define_deployment,
    define_route,
    define_table,
    run_stage,
    until,
)

Pair = tuple[FakeShard, FakeShard]


@pytest.fixture
def table(shards: Pair) -> RoutingTable:
    return define_table(define_deployment(define_route(shards[0].url, "a")))


class TestPulls:
    async def test_ask_for_changes_only(self, stage: Stage) -> None:
        assert await stage.gateway.puller.pull_once() is PullResult.UNCHANGED
        assert (stage.console.num_full_answers, stage.console.num_unchanged) == (1, 1)

    async def test_bring_a_revocation_within_the_interval(self, table: RoutingTable, tmp_path: Path) -> None:
        async with run_stage(table, tmp_path, pull_interval_s=0.1) as stage:
            assert (await stage.complete())[0] == 200
            stage.console.table = define_table(define_deployment(*table.deployments[0].shards, keys=["sk-new"]))
            revoked_at = time.monotonic()
            while (await stage.complete())[0] != 401:
                assert time.monotonic() - revoked_at < 2.0
                await asyncio.sleep(0.01)

    async def test_lose_no_request_when_the_table_changes(self, stage: Stage, shards: Pair) -> None:
        shards[0].interval_s = shards[1].interval_s = 0.01
        calls = [asyncio.create_task(stage.complete(stream=True, max_tokens=20)) for _ in range(20)]
        await until(lambda: shards[0].num_running + shards[1].num_running == 20)
        await stage.publish(define_table(define_deployment(define_route(shards[1].url, "c"))))
        assert {status for status, _ in await asyncio.gather(*calls)} == {200}
        num_before = shards[0].num_started
        await stage.complete()
        assert shards[0].num_started == num_before

    @pytest.mark.parametrize("body", ["nonsense", "{}", '{"version": 1, "deployments": []}'])
    async def test_keep_the_table_when_the_new_one_is_broken(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, body: str
    ) -> None:
        version = stage.gateway.router.directory.version
        stage.console.table = define_table()
        monkeypatch.setattr("tests.support.gateways.value_to_json", lambda _: json.loads(body) if body[0] == "{" else 7)
        assert await stage.gateway.puller.pull_once() is PullResult.FAILED
        assert stage.gateway.router.directory.version == version
        assert (await stage.complete())[0] == 200


class TestWithoutAConsole:
    async def test_the_gateway_goes_on(self, table: RoutingTable, tmp_path: Path) -> None:
        async with run_stage(table, tmp_path, pull_interval_s=0.05) as stage:
            await stage.console.stop()
            assert await stage.gateway.puller.pull_once() is PullResult.FAILED
            assert (await stage.complete())[0] == 200
            stage.console.table = define_table(define_deployment(*table.deployments[0].shards, keys=[KEY, "sk-2"]))
            await stage.console.start()
            await until(lambda: stage.gateway.router.directory.version == stage.console.table.version)

    async def test_a_new_gateway_serves_the_table_on_disk(self, table: RoutingTable, tmp_path: Path) -> None:
        async with run_stage(table, tmp_path) as first:
            await until(lambda: any(tmp_path.iterdir()))
            await first.console.stop()
        async with run_stage(table, tmp_path, console_url="http://127.0.0.1:9") as second:
            assert second.gateway.router.directory.version == table.version
            assert (await second.complete())[0] == 200

    async def test_the_table_on_disk_is_private_and_holds_no_key(self, stage: Stage, tmp_path: Path) -> None:
        path = tmp_path / "routing-table.json"
        await until(path.exists)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert KEY not in path.read_text()

    async def test_a_gateway_that_never_had_a_table_asks_to_try_again(self, tmp_path: Path) -> None:
        async with run_stage(
            RoutingTable(version="", deployments=()), tmp_path, console_url="http://127.0.0.1:9"
        ) as stage:
            status, body = await stage.complete()
            assert (status, json.loads(body)["error"]["code"]) == (503, "no_ready_shard")

    async def test_a_wrong_token_leaves_the_table_alone(self, table: RoutingTable, tmp_path: Path) -> None:
        console = FakeConsole(table)
        await console.start()
        empty = RoutingTable(version="", deployments=())
        async with run_stage(empty, tmp_path, console_url=console.url, token="wrong") as stage:
            assert await stage.gateway.puller.pull_once() is PullResult.FAILED
            assert stage.gateway.router.directory.version == ""
        await console.stop()
