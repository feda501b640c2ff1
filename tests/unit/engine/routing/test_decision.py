"""One routing decision."""

from collections.abc import Callable

from engine.routing.decision import PLANNED_SHARES, decide
from engine.routing.snapshot import Candidate, RoutingRequest

Build = Callable[..., Candidate]


class TestDecide:
    def test_follows_the_plan(self, build_candidate: Build) -> None:
        shards = [build_candidate("a", {"c": 0.25}), build_candidate("b", {"c": 0.75})]
        decision = decide(PLANNED_SHARES, RoutingRequest(class_id="c"), shards, {})
        assert decision is not None
        assert (decision.route.shard_id, decision.reason) == ("b", "planned")

    def test_carries_the_credits_on(self, build_candidate: Build) -> None:
        shards = [build_candidate("a", {"c": 0.25}), build_candidate("b", {"c": 0.5})]
        picked, credits_ = [], {}
        for _ in range(6):
            decision = decide(PLANNED_SHARES, RoutingRequest(class_id="c"), shards, credits_)
            assert decision is not None
            picked.append(decision.route.shard_id)
            credits_ = dict(decision.credits_after)
        assert picked == ["b", "a", "b", "b", "a", "b"]

    def test_passes_a_tried_shard_over(self, build_candidate: Build) -> None:
        shards = [build_candidate("a", {"c": 0.25}), build_candidate("b", {"c": 0.75})]
        request = RoutingRequest(class_id="c", tried=frozenset({"b"}))
        decision = decide(PLANNED_SHARES, request, shards, {})
        assert decision is not None
        assert (decision.route.shard_id, decision.reason) == ("a", "planned")

    def test_uses_other_shards_when_the_planned_ones_are_out(self, build_candidate: Build) -> None:
        shards = [
            build_candidate("a", {"c": 1.0}, is_backing_off=True),
            build_candidate("b", {"d": 0.5}),
            build_candidate("e"),
        ]
        decision = decide(PLANNED_SHARES, RoutingRequest(class_id="c"), shards, {})
        assert decision is not None
        assert (decision.route.shard_id, decision.reason) == ("b", "unplanned")

    def test_spreads_evenly_without_any_plan(self, build_candidate: Build) -> None:
        decision = decide(PLANNED_SHARES, RoutingRequest(class_id=""), [build_candidate("a")], {})
        assert decision is not None
        assert (decision.route.shard_id, decision.reason) == ("a", "even")

    def test_finds_none_when_no_shard_is_left(self, build_candidate: Build) -> None:
        shards = [
            build_candidate("a", {"c": 1.0}, accepts_requests=False),
            build_candidate("b", {"c": 1.0}, is_backing_off=True),
            build_candidate("d", {"c": 1.0}),
        ]
        request = RoutingRequest(class_id="c", tried=frozenset({"d"}))
        assert decide(PLANNED_SHARES, request, shards, {}) is None
        assert decide(PLANNED_SHARES, request, [], {}) is None
