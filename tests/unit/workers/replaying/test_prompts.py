"""Prompts of a length."""

import random

import pytest

from workers.replaying.prompts import make_prompt


class TestMakePrompt:
    """A prompt..."""

    @pytest.mark.parametrize("num_tokens", [1, 2, 500])
    def test_has_a_word_per_token(self, num_tokens: int) -> None:
        assert len(make_prompt(num_tokens, random.Random(0)).split(" ")) == num_tokens

    def test_differs_from_the_one_before(self) -> None:
        rng = random.Random(0)
        assert make_prompt(20, rng) != make_prompt(20, rng)

    def test_is_repeatable(self) -> None:
        assert make_prompt(20, random.Random(7)) == make_prompt(20, random.Random(7))
