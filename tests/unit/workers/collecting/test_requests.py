"""Finished requests become points, each counted once."""

import pytest

from engine.gateway.protocol import Outcome
from tests.support.finished import define_request
from tests.support.telemetry import at
from webapp.telemetry.points import Latencies, Rates
from workers.collecting import requests


class TestComputePercentile:
    """A percentile..."""

    @pytest.mark.parametrize(
        ("values", "percent", "expected"),
        [
            ([], 50, None),
            ([3.0], 50, 3.0),
            ([3.0], 90, 3.0),
            ([2.0, 1.0], 50, 1.0),
            ([2.0, 1.0], 90, 2.0),
            ([float(value) for value in range(1, 11)], 50, 5.0),
            ([float(value) for value in range(1, 11)], 90, 9.0),
            ([float(value) for value in range(1, 12)], 90, 10.0),
            ([float(value) for value in range(100, 0, -1)], 90, 90.0),
            ([1.0, 1.0, 5.0], 50, 1.0),
        ],
    )
    def test_is_the_nearest_rank(self, values: list[float], percent: int, expected: float | None) -> None:
        assert requests.compute_percentile(values, percent) == expected

    def test_leaves_its_input_alone(self) -> None:
        values = [3.0, 1.0, 2.0]
        requests.compute_percentile(values, 50)
        assert values == [3.0, 1.0, 2.0]


class TestTakeDue:
    """What is due..."""

    def test_ends_with_the_interval(self) -> None:
        found = [define_request(1, 1.9), define_request(2, 2.0), define_request(3, 2.1)]
        assert requests.take_due(found, until=at(2)) == found[:2]

    def test_is_a_prefix_so_that_the_cursor_is_one_number(self) -> None:
        found = [define_request(1, 2.1), define_request(2, 1.9)]
        assert requests.take_due(found, until=at(2)) == []
        assert [request.seq for request in requests.take_due(found, until=at(4))] == [1, 2]

    def test_includes_requests_of_a_clock_that_runs_far_ahead(self) -> None:
        [request] = requests.take_due([define_request(1, 3600)], until=at(2))
        assert request.finished_at == at(2)

    def test_is_nothing_of_nothing(self) -> None:
        assert requests.take_due([], until=at(2)) == []


class TestSelectServed:
    """A deployment's requests..."""

    def test_leave_out_others_and_callers_mistakes(self) -> None:
        found = [
            define_request(1, 1.0),
            define_request(2, 1.0, deployment="other"),
            define_request(3, 1.0, outcome=Outcome.REJECTED),
            define_request(4, 1.0, outcome=Outcome.FAILED),
        ]
        assert [request.seq for request in requests.select_served(found, deployment_name="demo")] == [1, 4]


class TestBuildPoints:
    """Points..."""

    def test_count_how_requests_ended(self) -> None:
        due = [
            define_request(1, 0.5, ttft_s=0.1, tpot_s=0.01, e2e_s=0.4),
            define_request(2, 1.0, is_within_slo=False, ttft_s=0.3, tpot_s=None, e2e_s=0.8),
            define_request(3, 1.5, outcome=Outcome.FAILED, is_within_slo=False, ttft_s=9.0, e2e_s=None),
            define_request(4, 2.0, outcome=Outcome.CANCELLED, is_within_slo=False, ttft_s=9.0, e2e_s=None),
        ]
        [point] = requests.build_points(due, earlier=[], after=at(0), until=at(2), in_flight=7)
        assert (point.sampled_at, point.interval_s, point.in_flight) == (at(2), 2.0, 7)
        assert (point.num_requests, point.num_failed, point.num_cancelled, point.num_within_slo) == (4, 1, 1, 1)
        assert (point.prompt_tokens, point.output_tokens) == (400, 80)
        assert point.latencies == Latencies(
            ttft_p50_s=0.1, ttft_p90_s=0.3, tpot_p50_s=0.01, tpot_p90_s=0.01, e2e_p50_s=0.4, e2e_p90_s=0.8
        )

    def test_exist_for_an_idle_interval(self) -> None:
        [point] = requests.build_points([], earlier=[], after=at(0), until=at(2), in_flight=0)
        assert (point.num_requests, point.latencies) == (0, Latencies())

    def test_look_back_thirty_seconds_for_latencies_and_at_their_own_interval_for_counts(self) -> None:
        earlier = [define_request(1, 10.0, ttft_s=9.0), define_request(2, 10.1, ttft_s=5.0)]
        due = [define_request(3, 39.0, ttft_s=1.0)]
        [point] = requests.build_points(due, earlier=earlier, after=at(38), until=at(40), in_flight=0)
        assert point.num_requests == 1
        assert point.latencies.ttft_p90_s == 5.0
        assert point.latencies.ttft_p50_s == 1.0

    def test_fill_the_intervals_of_a_gap(self) -> None:
        due = [define_request(1, 2.5), define_request(2, 3.9), define_request(3, 8.0), define_request(4, 9.5)]
        points = requests.build_points(due, earlier=[], after=at(2), until=at(10), in_flight=3)
        assert [(point.sampled_at, point.num_requests, point.in_flight) for point in points] == [
            (at(4), 2, None),
            (at(8), 1, None),
            (at(10), 1, 3),
        ]

    def test_count_a_late_request_in_the_next_open_interval(self) -> None:
        due = [define_request(1, 1.0), define_request(2, 3.0)]
        points = requests.build_points(due, earlier=[], after=at(2), until=at(4), in_flight=0)
        assert [(point.sampled_at, point.num_requests) for point in points] == [(at(4), 2)]

    def test_reach_back_to_the_first_request_when_nothing_was_written(self) -> None:
        points = requests.build_points([define_request(1, 1.0)], earlier=[], after=None, until=at(6), in_flight=0)
        assert [(point.sampled_at, point.num_requests) for point in points] == [(at(2), 1), (at(6), 0)]

    def test_count_every_request_exactly_once_over_many_ticks(self) -> None:
        found = [define_request(number, number * 0.37) for number in range(1, 201)]
        counted, earlier, next_seq, after = 0, [], 1, None
        for tick in range(2, 80, 2):
            due = requests.take_due([one for one in found if one.seq >= next_seq], until=at(tick))
            points = requests.build_points(due, earlier=earlier, after=after, until=at(tick), in_flight=0)
            counted += sum(point.num_requests for point in points)
            earlier = requests.keep_recent([*earlier, *due], until=at(tick))
            next_seq, after = next_seq + len(due), at(tick)
        assert counted == 200


class TestKeepRecent:
    """What is kept..."""

    def test_finished_in_the_last_thirty_seconds(self) -> None:
        found = [define_request(1, 10.0), define_request(2, 10.1), define_request(3, 40.0)]
        assert [request.seq for request in requests.keep_recent(found, until=at(40))] == [2, 3]


class TestComputeRates:
    """Rates..."""

    def test_are_over_the_last_ten_seconds(self) -> None:
        found = [define_request(number, 2.0 * number) for number in range(1, 11)]
        assert requests.compute_rates(found, until=at(20)) == Rates(
            requests_per_s=0.5, output_tokens_per_s=10.0, prompt_tokens_per_s=50.0
        )
