"""Reading telemetry."""

import json
from datetime import datetime

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.support.serving import store_shard
from tests.support.telemetry import START, at, create_deployment, define_point, define_shard_point, define_tick
from webapp.core.errors import NotFoundError
from webapp.deployments.models import Deployment, DeploymentState
from webapp.telemetry import selectors, services
from webapp.telemetry.models import ShardSample
from webapp.telemetry.points import DeploymentPoint, ShardPoint, point_to_row, shard_point_to_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(db: None) -> Deployment:
    """A live deployment."""
    return create_deployment()


def _store(deployment: Deployment, *points: DeploymentPoint | ShardPoint) -> None:
    for point in points:
        if isinstance(point, DeploymentPoint):
            point_to_row(point, deployment_id=deployment.pk).save()
        else:
            shard_point_to_row(point, deployment_id=deployment.pk).save()


class TestListWatchedDeployments:
    """Watched deployments..."""

    def test_are_those_that_serve_or_soon_will(self) -> None:
        for state in DeploymentState:
            create_deployment(f"in-{state}", state=state)
        names = [row.name for row in selectors.list_watched_deployments()]
        assert names == ["in-applying", "in-degraded", "in-live", "in-stopping"]


class TestListDeploymentSamples:
    """Samples..."""

    def test_come_oldest_first_from_a_half_open_window(self, demo: Deployment) -> None:
        points = [define_point(second) for second in (2, 4, 6, 8)]
        _store(demo, *reversed(points), define_point(60, interval_s=60.0))
        _store(create_deployment("other"), define_point(4, num_requests=9))
        found = selectors.list_deployment_samples(deployment_name="demo", since=at(2), until=at(6))
        assert found == points[1:3]

    def test_of_shards_come_in_order_too(self, demo: Deployment) -> None:
        second = define_shard_point(2, "b")
        first = define_shard_point(2, "a")
        _store(demo, second, first)
        assert selectors.list_shard_samples(deployment_name="demo", since=START, until=at(2)) == [first, second]


class TestGetLatest:
    """The latest state..."""

    def test_looks_like_the_event(self, demo: Deployment) -> None:
        _store(demo, define_point(2, num_requests=4), define_point(4, num_requests=6, in_flight=2, ttft_p50_s=0.1))
        _store(demo, define_shard_point(2, "a", num_running=9.0), define_shard_point(4, "a", num_running=1.0))
        latest = selectors.get_latest(deployment_name="demo", now=at(5))
        assert latest is not None
        assert latest["sampled_at"] == "2026-11-24T12:00:04+00:00"
        assert latest["requests_per_s"] == 1.0
        assert latest["num_requests"] == 6
        assert latest["shards"] == [
            {
                "shard_id": "a",
                "num_running": 1.0,
                "num_waiting": 0.0,
                "kv_cache_usage_ratio": 0.0,
                "output_tokens_per_s": 0.0,
            }
        ]

    def test_has_the_fields_of_the_event(self, demo: Deployment) -> None:
        tick = define_tick(demo, define_point(2))
        services.record_tick(ticks=[tick], move=None, now=at(2))
        latest = selectors.get_latest(deployment_name="demo", now=at(2))
        assert latest is not None
        assert set(latest) == set(selectors.get_latest(deployment_name="demo", now=at(3)) or {})

    def test_is_unknown_when_nothing_was_measured_lately(self, demo: Deployment) -> None:
        _store(demo, define_point(2))
        assert selectors.get_latest(deployment_name="demo", now=at(33)) is None
        assert selectors.get_latest(deployment_name="none", now=at(2)) is None


class TestBuildSeries:
    """Series..."""

    def test_hold_columns_of_one_length_named_as_in_the_event(self, demo: Deployment) -> None:
        for second in (2, 4, 6):
            tick = define_tick(
                demo,
                define_point(second, num_requests=second, output_tokens=10, in_flight=1, ttft_p50_s=second / 10),
                shards=(define_shard_point(second, "a", num_running=float(second)),),
            )
            services.record_tick(ticks=[tick], move=None, now=at(second))
        series = selectors.build_series(deployment_name="demo", window_s=600, now=at(7))
        assert json.loads(json.dumps(series)) == series
        assert (series["deployment"], series["interval_s"]) == ("demo", 2.0)
        assert series["sampled_at"] == [at(second).isoformat() for second in (2, 4, 6)]
        assert series["num_requests"] == [2, 4, 6]
        assert series["requests_per_s"] == pytest.approx([0.2, 0.6, 1.2])
        assert series["output_tokens_per_s"] == pytest.approx([1.0, 2.0, 3.0])
        assert series["ttft_p50_s"] == [0.2, 0.4, 0.6]
        assert series["e2e_p90_s"] == [None, None, None]
        assert series["shards"] == {
            "a": {
                "sampled_at": [at(second).isoformat() for second in (2, 4, 6)],
                "num_running": [2.0, 4.0, 6.0],
                "num_waiting": [0.0, 0.0, 0.0],
                "kv_cache_usage_ratio": [0.0, 0.0, 0.0],
                "output_tokens_per_s": [0.0, 0.0, 0.0],
            }
        }
        payload = selectors.get_latest(deployment_name="demo", now=at(7))
        assert payload is not None
        assert set(payload) <= set(series)

    def test_give_the_first_point_rates_over_what_came_before_the_window(self, demo: Deployment) -> None:
        _store(demo, *(define_point(second, num_requests=1) for second in range(2, 42, 2)))
        series = selectors.build_series(deployment_name="demo", window_s=10, now=at(40))
        assert series["requests_per_s"] == [0.5] * 5

    def test_beyond_an_hour_come_from_minutes(self, demo: Deployment) -> None:
        _store(demo, define_point(2, num_requests=1), define_point(60, interval_s=60.0, num_requests=30))
        _store(demo, define_shard_point(60, interval_s=60.0))
        series = selectors.build_series(deployment_name="demo", window_s=3601, now=at(61))
        assert (series["interval_s"], series["num_requests"], series["requests_per_s"]) == (60.0, [30], [0.5])
        assert list(series["shards"]) == ["s1"]  # type: ignore[call-overload]

    def test_beyond_thirty_hours_come_from_hours(self, demo: Deployment) -> None:
        _store(demo, define_point(60, interval_s=60.0, num_requests=30))
        _store(demo, define_point(3600, interval_s=3600.0, num_requests=1800))
        series = selectors.build_series(deployment_name="demo", window_s=30 * 3600, now=at(3601))
        assert (series["interval_s"], series["num_requests"]) == (60.0, [30])
        series = selectors.build_series(deployment_name="demo", window_s=30 * 3600 + 1, now=at(3601))
        assert (series["interval_s"], series["num_requests"], series["requests_per_s"]) == (3600.0, [1800], [0.5])

    @pytest.mark.slow
    def test_of_many_shards_leave_out_instants(self, demo: Deployment) -> None:
        rows = [
            shard_point_to_row(define_shard_point(2.0 * tick, f"s{number:03}"), deployment_id=demo.pk)
            for tick in range(1, 301)
            for number in range(100)
        ]
        ShardSample.objects.bulk_create(rows, batch_size=500)
        for _ in range(100):
            store_shard(demo, max_model_len=512)
        series = selectors.build_series(deployment_name="demo", window_s=600, now=at(601))
        shards = series["shards"]
        assert isinstance(shards, dict)
        assert len(shards) == 100
        assert {len(columns["sampled_at"]) for columns in shards.values()} == {60}
        assert shards["s000"]["sampled_at"][-2:] == [at(590).isoformat(), at(600).isoformat()]

    def test_take_five_queries(self, demo: Deployment, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        _store(demo, define_point(2), define_shard_point(2))
        with django_assert_num_queries(5):
            selectors.build_series(deployment_name="demo", window_s=600, now=at(7))

    def test_are_empty_before_anything_was_measured(self, demo: Deployment) -> None:
        series = selectors.build_series(deployment_name="demo", window_s=600, now=at(7))
        assert (series["sampled_at"], series["requests_per_s"], series["shards"]) == ([], [], {})

    def test_of_an_unknown_deployment_are_refused(self, now: datetime) -> None:
        with pytest.raises(NotFoundError, match="there is no deployment 'none'"):
            selectors.build_series(deployment_name="none", window_s=600, now=now)
