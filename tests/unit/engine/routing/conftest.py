"""Shards to choose from."""

from collections.abc import Callable, Mapping

import pytest

from engine.routing.snapshot import Candidate
from engine.routing.table import ShardRoute

BuildCandidate = Callable[..., Candidate]


@pytest.fixture
def build_candidate() -> BuildCandidate:
    """Builder of shards that accept requests, unless told otherwise."""

    def build(
        shard_id: str,
        weights: Mapping[str, float] | None = None,
        *,
        accepts_requests: bool = True,
        is_backing_off: bool = False,
    ) -> Candidate:
        route = ShardRoute(
            shard_id=shard_id,
            url=f"http://127.0.0.1/{shard_id}",
            weights=weights or {},
            accepts_requests=accepts_requests,
            strips_seed=False,
        )
        return Candidate(route=route, is_backing_off=is_backing_off)

    return build
