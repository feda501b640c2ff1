"""Smooth weighted round robin."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from engine.routing.picker import pick_smoothly


def pick_many(ids: Sequence[str], scores: Sequence[float], count: int) -> list[str]:
    picked = []
    state: Mapping[str, float] = {}
    for _ in range(count):
        shard_id, state = pick_smoothly(ids, scores, state)
        picked.append(shard_id)
    return picked


class TestPickSmoothly:
    def test_spreads_as_the_published_example(self) -> None:
        # Weights 5, 1, 1 give a a b a c a a, not a a a a a b c.
        assert "".join(pick_many("abc", (5.0, 1.0, 1.0), 7)) == "aabacaa"

    def test_takes_turns_between_equals(self) -> None:
        assert "".join(pick_many("ab", (1.0, 1.0), 6)) == "ababab"

    @pytest.mark.parametrize("scores", [(1.0, 0.5, 0.25), (0.9, 1.0, 0.07), (1.0, 1.0, 1.0)])
    def test_keeps_every_share_within_one_pick_at_any_time(self, scores: tuple[float, ...]) -> None:
        picked = pick_many("abc", scores, 1000)
        for length in range(1, 1001):
            counts = Counter(picked[:length])
            for shard_id, score in zip("abc", scores, strict=True):
                assert abs(counts[shard_id] - length * score / sum(scores)) < 1.0

    def test_never_picks_a_score_of_zero(self) -> None:
        assert set(pick_many("abc", (0.0, 1.0, 0.0), 20)) == {"b"}

    def test_leaves_its_input_alone_and_the_credits_of_absent_shards(self) -> None:
        before = {"a": 0.5, "gone": -0.25}
        picked, after = pick_smoothly("ab", (1.0, 1.0), before)
        assert picked == "a"
        assert before == {"a": 0.5, "gone": -0.25}
        assert after == {"a": -0.5, "b": 1.0, "gone": -0.25}

    def test_goes_on_smoothly_when_a_shard_is_out_for_a_while(self) -> None:
        state: Mapping[str, float] = {}
        for _ in range(100):
            _, state = pick_smoothly("ab", (1.0, 1.0), state)
        for _ in range(100):
            _, state = pick_smoothly("a", (1.0,), state)
        picked = []
        for _ in range(10):
            shard_id, state = pick_smoothly("ab", (1.0, 1.0), state)
            picked.append(shard_id)
        assert Counter(picked) == {"a": 5, "b": 5}
