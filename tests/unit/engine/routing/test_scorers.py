"""How much a request belongs on each shard."""

from collections.abc import Callable

import pytest

from engine.routing.scorers import Scorer, score_any_share, score_evenly, score_planned_share
from engine.routing.snapshot import Candidate, RoutingRequest

REQUEST = RoutingRequest(class_id="short")
ALL = (score_planned_share, score_any_share, score_evenly)


@pytest.fixture
def shards(build_candidate: Callable[..., Candidate]) -> list[Candidate]:
    return [
        build_candidate("a", {"short": 0.6, "long": 0.1}),
        build_candidate("b", {"short": 0.3, "long": 0.9}),
        build_candidate("c"),
    ]


class TestScorePlannedShare:
    def test_is_relative_to_the_largest_share_of_the_class(self, shards: list[Candidate]) -> None:
        assert score_planned_share(REQUEST, shards) == (1.0, 0.5, 0.0)

    def test_is_zero_for_a_class_the_plan_does_not_know(self, shards: list[Candidate]) -> None:
        assert score_planned_share(RoutingRequest(class_id="other"), shards) == (0.0, 0.0, 0.0)


class TestScoreAnyShare:
    def test_adds_the_classes_up(self, shards: list[Candidate]) -> None:
        assert score_any_share(REQUEST, shards) == (pytest.approx(0.7 / 1.2), 1.0, 0.0)


class TestScoreEvenly:
    def test_treats_all_alike(self, shards: list[Candidate]) -> None:
        assert score_evenly(REQUEST, shards) == (1.0, 1.0, 1.0)


class TestEveryScorer:
    @pytest.mark.parametrize("scorer", ALL)
    @pytest.mark.parametrize("weight", [-1.0, 0.0, 1e-12, 0.5, 1.0, 1e9])
    def test_stays_between_zero_and_one(
        self, scorer: Scorer, weight: float, build_candidate: Callable[..., Candidate]
    ) -> None:
        candidates = [build_candidate("a", {"short": weight}), build_candidate("b", {"short": 0.25})]
        scores = scorer(REQUEST, candidates)
        assert len(scores) == 2
        assert all(0.0 <= score <= 1.0 for score in scores)

    @pytest.mark.parametrize("scorer", ALL)
    def test_answers_nothing_for_nobody(self, scorer: Scorer) -> None:
        assert scorer(REQUEST, []) == ()
