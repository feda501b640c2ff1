"""The trace fits the deployment."""

import itertools

import pytest

from engine.domain.slo import Slo
from webapp.telemetry.background import TrafficTarget
from workers.replaying.trace import TraceRow, fit_trace, read_trace

_TRACE = (
    TraceRow(arrival=0.0, prompt_tokens=100, output_tokens=10),
    TraceRow(arrival=0.5, prompt_tokens=300, output_tokens=30),
    TraceRow(arrival=2.0, prompt_tokens=200, output_tokens=20),
)


def _define_target(
    *, requests_per_s: float = 1.0, prompt_tokens: float = 200, output_tokens: float = 20, max_model_len: int = 4096
) -> TrafficTarget:
    return TrafficTarget(
        deployment_name="demo",
        model_name="demo",
        requests_per_s=requests_per_s,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        max_model_len=max_model_len,
        slo=Slo(),
    )


class TestReadTrace:
    """The trace of the project..."""

    def test_is_sorted_and_has_a_mean_gap_of_one(self) -> None:
        trace = read_trace()
        arrivals = [row.arrival for row in trace]
        assert len(trace) == 900
        assert arrivals == sorted(arrivals)
        assert (arrivals[0], arrivals[-1]) == (0.0, pytest.approx(899.0))

    def test_has_the_shape_of_conversations(self) -> None:
        trace = read_trace()
        gaps = [later.arrival - row.arrival for row, later in itertools.pairwise(trace)]
        variance = sum((gap - 1.0) ** 2 for gap in gaps) / len(gaps)
        assert variance**0.5 == pytest.approx(1.09, abs=0.05)
        assert sum(row.prompt_tokens for row in trace) / 900 == pytest.approx(1155, rel=0.05)
        assert sum(row.output_tokens for row in trace) / 900 == pytest.approx(211, rel=0.05)
        assert sorted(row.output_tokens for row in trace)[450] == pytest.approx(129, rel=0.1)


class TestFitTrace:
    """A fitted trace..."""

    def test_comes_at_the_rate_asked_for_round_after_round(self) -> None:
        found = list(itertools.islice(fit_trace(_TRACE, _define_target(requests_per_s=2.0)), 7))
        assert [arrival.due_s for arrival in found] == [0.0, 0.25, 1.0, 1.5, 1.75, 2.5, 3.0]

    def test_has_the_means_of_the_workload(self) -> None:
        target = _define_target(prompt_tokens=110, output_tokens=36)
        found = list(itertools.islice(fit_trace(read_trace(), target), 900))
        assert sum(arrival.prompt_tokens for arrival in found) / 900 == pytest.approx(110, rel=0.02)
        assert sum(arrival.output_tokens for arrival in found) / 900 == pytest.approx(36, rel=0.02)

    def test_has_the_mean_rate(self) -> None:
        found = list(itertools.islice(fit_trace(read_trace(), _define_target(requests_per_s=5.0)), 1801))
        assert found[-1].due_s == pytest.approx(360.0)

    def test_fits_the_context(self) -> None:
        found = list(itertools.islice(fit_trace(read_trace(), _define_target(max_model_len=128)), 900))
        assert max(arrival.prompt_tokens + arrival.output_tokens for arrival in found) <= 128 - 16
        assert max(arrival.output_tokens for arrival in found) <= 64
        assert min(arrival.prompt_tokens for arrival in found) >= 1

    def test_asks_for_one_token_at_least(self) -> None:
        found = list(itertools.islice(fit_trace(_TRACE, _define_target(prompt_tokens=0.1, output_tokens=0.1)), 3))
        assert {(arrival.prompt_tokens, arrival.output_tokens) for arrival in found} == {(1, 1)}
