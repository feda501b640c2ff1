"""Latency words and SLOs."""

import pytest

from engine.domain.slo import Slo, compute_tpot_s, is_met


class TestComputeTpot:
    def test_leaves_the_first_token_out(self) -> None:
        assert compute_tpot_s(ttft_s=0.5, e2e_s=2.5, output_tokens=21) == pytest.approx(0.1)

    @pytest.mark.parametrize("output_tokens", [0, 1])
    def test_is_undefined_without_a_second_token(self, output_tokens: int) -> None:
        assert compute_tpot_s(ttft_s=0.5, e2e_s=0.5, output_tokens=output_tokens) is None


class TestIsMet:
    def test_bounds_nothing_by_default(self) -> None:
        assert is_met(Slo(), ttft_s=1e9, tpot_s=1e9, e2e_s=1e9)

    @pytest.mark.parametrize("bound", ["ttft_s", "tpot_s", "e2e_s"])
    def test_holds_every_bound(self, bound: str) -> None:
        latencies = {"ttft_s": 1.0, "tpot_s": 1.0, "e2e_s": 1.0}
        assert is_met(Slo(**{bound: 1.0}), **latencies)
        assert not is_met(Slo(**{bound: 0.999}), **latencies)

    def test_asks_no_tpot_of_a_single_token(self) -> None:
        assert is_met(Slo(tpot_s=0.01), ttft_s=1.0, tpot_s=None, e2e_s=1.0)
