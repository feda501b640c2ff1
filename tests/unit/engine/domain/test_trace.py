"""Traces in the Azure CSV format."""

import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from engine.domain import trace as trace_module
from engine.domain.trace import InvalidTraceError, Trace, cluster_trace, parse_trace_csv
from engine.domain.workload import ArrivalProcess

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def _define_trace(sizes: list[tuple[int, int]]) -> Trace:
    return Trace(
        started_at=datetime(2026, 11, 24, tzinfo=UTC),
        arrivals_s=tuple(float(index) for index in range(len(sizes))),
        prompt_tokens=tuple(prompt for prompt, _ in sizes),
        output_tokens=tuple(output for _, output in sizes),
    )


class TestParseTraceCsv:
    def test_reads_requests_in_order_of_arrival(self) -> None:
        text = HEADER + "2023-11-16 18:00:02.5,20,2\n2023-11-16 18:00:00,10,1\n2023-11-16 18:00:01,30,3\n"
        assert parse_trace_csv(text) == Trace(
            started_at=datetime(2023, 11, 16, 18, 0, tzinfo=UTC),
            arrivals_s=(0.0, 1.0, 2.5),
            prompt_tokens=(10, 30, 20),
            output_tokens=(1, 3, 2),
        )

    def test_keeps_the_order_of_requests_that_come_at_once(self) -> None:
        text = HEADER + "2023-11-16 18:00:00,20,2\n2023-11-16 18:00:00,10,1\n"
        assert parse_trace_csv(text).prompt_tokens == (20, 10)

    def test_reads_instants_with_an_offset(self) -> None:
        trace = parse_trace_csv(HEADER + "2023-11-16T19:00:00+01:00,10,1\n")
        assert trace.started_at == datetime(2023, 11, 16, 18, 0, tzinfo=UTC)

    def test_reads_lines_a_mark_and_further_columns(self) -> None:
        lines = ["\ufeffTIMESTAMP, ContextTokens ,GeneratedTokens,Tenant", "2023-11-16 18:00:00,10,1,blue"]
        assert parse_trace_csv(lines).prompt_tokens == (10,)

    @pytest.mark.parametrize(
        ("text", "row", "column", "message"),
        [
            ("", 1, "TIMESTAMP", "row 1: TIMESTAMP is missing from the header"),
            ("TIMESTAMP,ContextTokens\n", 1, "GeneratedTokens", "row 1: GeneratedTokens is missing from the header"),
            (HEADER, 2, "TIMESTAMP", "row 2: TIMESTAMP is missing: the trace has no request"),
            (HEADER + "yesterday,1,1\n", 2, "TIMESTAMP", "row 2: TIMESTAMP 'yesterday' is not a date and time"),
            (
                HEADER + "2023-11-16 18:00:00,1,1\n2023-11-16 18:00:00,many,1\n",
                3,
                "ContextTokens",
                "row 3: ContextTokens 'many' is not a whole number",
            ),
            (
                HEADER + "2023-11-16 18:00:00,1\n",
                2,
                "GeneratedTokens",
                "row 2: GeneratedTokens None is not a whole number",
            ),
            (
                HEADER + "2023-11-16 18:00:00,1,0\n",
                2,
                "GeneratedTokens",
                "row 2: GeneratedTokens 0 is not a number of tokens",
            ),
        ],
    )
    def test_names_row_and_column_of_what_it_refuses(self, text: str, row: int, column: str, message: str) -> None:
        with pytest.raises(InvalidTraceError) as error:
            parse_trace_csv(text)
        assert error.value.field == column
        assert error.value.data["row"] == row
        assert error.value.message.startswith(message)

    def test_names_the_row_that_is_no_csv(self) -> None:
        text = HEADER + "2023-11-16 18:00:00,1,1\n" + "x" * 200_000
        with pytest.raises(InvalidTraceError, match="row 3: TIMESTAMP cannot be read: field larger") as error:
            parse_trace_csv(text)
        assert error.value.data["row"] == 3
        assert "CSV" in error.value.remedy

    def test_refuses_more_requests_than_can_be_read_in_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trace_module, "_MAX_REQUESTS", 2)
        with pytest.raises(InvalidTraceError, match="row 4: the trace has more than 2 requests") as error:
            parse_trace_csv(HEADER + "2023-11-16 18:00:00,1,1\n" * 3)
        assert "shorter" in error.value.remedy
        assert parse_trace_csv(HEADER + "2023-11-16 18:00:00,1,1\n" * 2).num_requests == 2


class TestTrace:
    def test_counts_intervals_for_the_rate(self) -> None:
        trace = _define_trace([(10, 1)] * 5)
        assert (trace.num_requests, trace.duration_s, trace.requests_per_s) == (5, 4.0, 1.0)

    def test_has_no_rate_when_all_came_at_once(self) -> None:
        assert _define_trace([(10, 1)]).requests_per_s == 0.0


class TestClusterTrace:
    def test_finds_well_separated_sizes(self) -> None:
        clustered = cluster_trace(_define_trace([(100, 10)] * 6 + [(2000, 10)] * 3 + [(100, 500)]), num_classes=3)
        found = [(item.id, item.prompt_tokens, item.output_tokens, item.share) for item in clustered.classes]
        assert found == [
            ("p100-o10", 100, 10, 0.6),
            ("p100-o500", 100, 500, 0.1),
            ("p2000-o10", 2000, 10, 0.3),
        ]
        assert (clustered.requests_per_s, clustered.num_requests, clustered.duration_s) == (1.0, 10, 9.0)

    def test_stands_for_a_class_by_its_mean(self) -> None:
        (only,) = cluster_trace(_define_trace([(100, 10), (200, 30)]), num_classes=1).classes
        assert (only.prompt_tokens, only.output_tokens, only.share) == (150, 20, 1.0)

    def test_gives_fewer_classes_when_sizes_coincide(self) -> None:
        assert len(cluster_trace(_define_trace([(100, 10)] * 4), num_classes=9).classes) == 1

    def test_is_the_same_for_the_same_seed(self) -> None:
        trace = _define_trace([(10 + 7 * index % 400, 1 + index % 90) for index in range(300)])
        assert cluster_trace(trace, seed=3) == cluster_trace(trace, seed=3)

    def test_draws_from_a_long_trace_and_counts_it_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trace_module, "_MAX_POINTS", 30)
        monkeypatch.setattr(trace_module, "_CHUNK", 7)
        trace = _define_trace([(100, 10)] * 60 + [(2000, 10)] * 30 + [(100, 500)] * 10)
        found = {item.id: item.share for item in cluster_trace(trace, num_classes=3).classes}
        assert found == {"p100-o10": 0.6, "p2000-o10": 0.3, "p100-o500": 0.1}
        assert cluster_trace(trace, num_classes=3) == cluster_trace(trace, num_classes=3)

    @pytest.mark.slow
    def test_settles_a_trace_of_a_day_in_seconds(self) -> None:
        rng = np.random.default_rng(1)
        sizes = np.exp(rng.normal((7.0, 5.0), 1.0, size=(400_000, 2))).astype(int) + 1
        trace = _define_trace([(int(prompt), int(output)) for prompt, output in sizes])
        started_s = time.process_time()
        clustered = cluster_trace(trace)
        assert time.process_time() - started_s < 10.0
        assert len(clustered.classes) == 9
        assert sum(item.share * item.prompt_tokens for item in clustered.classes) == pytest.approx(
            sizes[:, 0].mean(), rel=1e-3
        )

    def test_refuses_no_class(self) -> None:
        with pytest.raises(InvalidTraceError, match="num_classes: 0"):
            cluster_trace(_define_trace([(1, 1)]), num_classes=0)

    def test_becomes_a_workload(self) -> None:
        clustered = cluster_trace(_define_trace([(100, 10)] * 3))
        workload = clustered.to_workload(name="mine.csv", model_id="m")
        assert (workload.name, workload.source, workload.model_id) == ("mine.csv", "mine.csv", "m")
        assert workload.arrival is ArrivalProcess.TRACE
        assert workload.requests_per_s == 1.0
        assert workload.classes == clustered.classes


@pytest.mark.data
@pytest.mark.slow
class TestAzureFiles:
    @pytest.mark.parametrize(
        ("file", "num_requests", "prompt_mean", "output_mean"),
        [("azure_llm_2023_conv.csv", 19_366, 1154.7, 211.1), ("azure_llm_2023_code.csv", 8_819, 2047.8, 27.9)],
    )
    def test_load_whole_and_keep_their_tokens(
        self, file: str, num_requests: int, prompt_mean: float, output_mean: float, data_dir: Path
    ) -> None:
        trace = parse_trace_csv((data_dir / file).read_text())
        assert trace.num_requests == num_requests
        assert 3400 < trace.duration_s < 3600
        clustered = cluster_trace(trace)
        assert len(clustered.classes) == 9
        assert sum(item.share for item in clustered.classes) == pytest.approx(1.0)
        prompt = sum(item.share * item.prompt_tokens for item in clustered.classes)
        output = sum(item.share * item.output_tokens for item in clustered.classes)
        assert prompt == pytest.approx(prompt_mean, abs=0.5)
        assert output == pytest.approx(output_mean, abs=0.5)
