"""Two fake shards and a gateway in front of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.support.fake_shard import FakeShard
from tests.support.gateways import Stage, define_deployment, define_route, define_table, run_stage


@pytest_asyncio.fixture
async def shards() -> AsyncIterator[tuple[FakeShard, FakeShard]]:
    """Two fake shards that run."""
    pair = (FakeShard(), FakeShard())
    for shard in pair:
        await shard.start()
    yield pair
    for shard in pair:
        await shard.stop()


@pytest_asyncio.fixture
async def stage(shards: tuple[FakeShard, FakeShard], tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway that shares traffic evenly between both shards."""
    routes = [define_route(shard.url, name) for shard, name in zip(shards, ("a", "b"), strict=True)]
    async with run_stage(define_table(define_deployment(*routes)), tmp_path) as running:
        yield running
