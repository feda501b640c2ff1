"""Request classes by the look of a request."""

import pytest

from engine.domain.workload import RequestClass
from engine.domain.workload_presets import get_workload_preset
from engine.routing.classify import classify, compute_mean_output_tokens, estimate_prompt_tokens

CHAT = get_workload_preset("chat").classes


def find_id(prompt_tokens: int, max_output_tokens: int | None) -> str:
    found = classify(CHAT, prompt_tokens=prompt_tokens, max_output_tokens=max_output_tokens)
    assert found is not None
    return found.id


class TestEstimatePromptTokens:
    @pytest.mark.parametrize(("num_bytes", "expected"), [(0, 1), (1, 1), (4, 1), (5, 2), (4000, 1000)])
    def test_counts_a_token_for_four_bytes_and_at_least_one(self, num_bytes: int, expected: int) -> None:
        assert estimate_prompt_tokens(num_bytes) == expected


class TestComputeMeanOutputTokens:
    def test_weighs_by_share(self) -> None:
        classes = [
            RequestClass(id="a", prompt_tokens=1, output_tokens=10, share=0.75),
            RequestClass(id="b", prompt_tokens=1, output_tokens=50, share=0.25),
        ]
        assert compute_mean_output_tokens(classes) == 20.0

    def test_takes_the_plain_mean_without_shares(self) -> None:
        classes = [
            RequestClass(id="a", prompt_tokens=1, output_tokens=10, share=0.0),
            RequestClass(id="b", prompt_tokens=1, output_tokens=50, share=0.0),
        ]
        assert compute_mean_output_tokens(classes) == 30.0


class TestClassify:
    @pytest.mark.parametrize("item", CHAT, ids=lambda item: item.id)
    def test_finds_each_class_by_its_own_sizes(self, item: RequestClass) -> None:
        assert find_id(item.prompt_tokens, item.output_tokens) == item.id

    def test_compares_in_logarithms(self) -> None:
        # The border between 18 and 510 lies at their geometric mean, between 253 and 510 at 359.2.
        assert (find_id(496, 359), find_id(496, 360)) == ("p496-o253", "p496-o510")
        # Between 824 and 2455 it lies at 1422.3.
        assert (find_id(1422, 18), find_id(1423, 18)) == ("p824-o18", "p2455-o18")

    def test_expects_the_mean_of_the_mix_without_a_limit(self) -> None:
        assert compute_mean_output_tokens(CHAT) == pytest.approx(188.59)
        assert find_id(2455, None) == "p2455-o253"

    def test_clamps_nothing_at_the_ends(self) -> None:
        assert (find_id(1, 1), find_id(1_000_000, 100_000)) == ("p496-o18", "p2455-o510")

    def test_takes_the_first_of_equals(self) -> None:
        twins = [RequestClass(id=name, prompt_tokens=8, output_tokens=8, share=0.5) for name in "ab"]
        found = classify(twins, prompt_tokens=3, max_output_tokens=3)
        assert found is not None
        assert found.id == "a"

    def test_finds_none_without_classes(self) -> None:
        assert classify((), prompt_tokens=1, max_output_tokens=None) is None
