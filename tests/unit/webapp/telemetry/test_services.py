"""Writing telemetry: once each, with its event; minutes; retention."""

from datetime import timedelta

import pytest

from tests.support.telemetry import (
    START,
    at,
    create_deployment,
    define_point,
    define_shard_point,
    define_tick,
)
from webapp.core.models import Event
from webapp.deployments.models import Deployment
from webapp.telemetry import selectors, services
from webapp.telemetry.errors import CursorMovedError
from webapp.telemetry.models import DeploymentSample, GatewayCursor, ShardSample
from webapp.telemetry.points import Rates
from webapp.telemetry.services import CursorMove

pytestmark = pytest.mark.django_db
_URL = "http://127.0.0.1:8401"


@pytest.fixture
def demo(db: None) -> Deployment:
    """A live deployment."""
    return create_deployment()


def _define_move(from_instance: str, from_seq: int, instance: str, next_seq: int, seconds: float = 2.0) -> CursorMove:
    return CursorMove(
        gateway_url=_URL,
        from_instance=from_instance,
        from_seq=from_seq,
        instance=instance,
        next_seq=next_seq,
        sampled_at=at(seconds),
    )


class TestRecordTick:
    """A tick..."""

    def test_keeps_points_and_moves_the_cursor(self, demo: Deployment) -> None:
        point = define_point(2, num_requests=3, num_within_slo=2, output_tokens=48, in_flight=1, ttft_p50_s=0.2)
        shard = define_shard_point(2, num_running=1.0, output_tokens_per_s=24.0)
        tick = define_tick(demo, point, shards=(shard,))
        services.record_tick(ticks=[tick], move=_define_move("", 0, "a", 7), now=at(2))
        assert selectors.list_deployment_samples(deployment_name="demo", since=START, until=at(2)) == [point]
        assert selectors.list_shard_samples(deployment_name="demo", since=START, until=at(2)) == [shard]
        cursor = selectors.get_cursor(gateway_url=_URL)
        assert (cursor.instance, cursor.next_seq, cursor.sampled_at) == ("a", 7, at(2))

    def test_tells_browsers_of_the_newest_point(self, demo: Deployment) -> None:
        tick = define_tick(
            demo,
            define_point(2, num_requests=9),
            define_point(4, num_requests=3, num_failed=1, num_within_slo=2, in_flight=5, ttft_p50_s=0.25),
            shards=(define_shard_point(4, num_running=2.0, num_waiting=1.0, kv_cache_usage_ratio=0.5),),
            rates=Rates(requests_per_s=1.5, output_tokens_per_s=30.0, prompt_tokens_per_s=60.0),
        )
        services.record_tick(ticks=[tick], move=None, now=at(4))
        [event] = Event.objects.all()
        assert (event.topic, event.kind, event.created_at) == ("deployment:demo", "telemetry", at(4))
        assert event.payload == {
            "sampled_at": "2026-11-24T12:00:04+00:00",
            "requests_per_s": 1.5,
            "output_tokens_per_s": 30.0,
            "prompt_tokens_per_s": 60.0,
            "num_requests": 3,
            "num_failed": 1,
            "num_cancelled": 0,
            "num_within_slo": 2,
            "in_flight": 5,
            "ttft_p50_s": 0.25,
            "ttft_p90_s": None,
            "tpot_p50_s": None,
            "tpot_p90_s": None,
            "e2e_p50_s": None,
            "e2e_p90_s": None,
            "shards": [
                {
                    "shard_id": "s1",
                    "num_running": 2.0,
                    "num_waiting": 1.0,
                    "kv_cache_usage_ratio": 0.5,
                    "output_tokens_per_s": 0.0,
                }
            ],
        }

    def test_keeps_shards_and_stays_silent_while_the_gateway_is_down(self, demo: Deployment) -> None:
        services.record_tick(ticks=[define_tick(demo, shards=(define_shard_point(2),))], move=None, now=at(2))
        assert (ShardSample.objects.count(), DeploymentSample.objects.count(), Event.objects.count()) == (1, 0, 0)

    def test_leaves_an_interval_that_is_stored(self, demo: Deployment) -> None:
        for num_requests in (3, 4):
            tick = define_tick(demo, define_point(2, num_requests=num_requests), shards=(define_shard_point(2),))
            services.record_tick(ticks=[tick], move=None, now=at(2))
        assert [row.num_requests for row in DeploymentSample.objects.all()] == [3]
        assert ShardSample.objects.count() == 1

    @pytest.mark.parametrize(("from_instance", "from_seq"), [("a", 6), ("b", 7), ("", 0)])
    def test_writes_nothing_when_another_collector_was_faster(
        self, demo: Deployment, from_instance: str, from_seq: int
    ) -> None:
        services.record_tick(ticks=[], move=_define_move("", 0, "a", 7), now=at(2))
        tick = define_tick(demo, define_point(4, num_requests=3), shards=(define_shard_point(4),))
        with pytest.raises(CursorMovedError):
            services.record_tick(ticks=[tick], move=_define_move(from_instance, from_seq, "a", 9, 4.0), now=at(4))
        assert (DeploymentSample.objects.count(), ShardSample.objects.count(), Event.objects.count()) == (0, 0, 0)
        assert GatewayCursor.objects.get().next_seq == 7

    def test_follows_the_gateway_into_a_new_instance(self) -> None:
        services.record_tick(ticks=[], move=_define_move("", 0, "a", 7), now=at(2))
        services.record_tick(ticks=[], move=_define_move("a", 7, "b", 2, 4.0), now=at(4))
        cursor = selectors.get_cursor(gateway_url=_URL)
        assert (cursor.instance, cursor.next_seq) == ("b", 2)


class TestRollUp:
    """Rolling up..."""

    def _record(self, demo: Deployment, *seconds: float) -> None:
        for second in seconds:
            point = define_point(second, num_requests=2, output_tokens=10, ttft_p50_s=0.5)
            shard = define_shard_point(second, num_running=second)
            services.record_tick(ticks=[define_tick(demo, point, shards=(shard,))], move=None, now=at(second))

    def _list_minutes(self) -> list[tuple[float, int]]:
        rows = DeploymentSample.objects.filter(interval_s=60.0).order_by("sampled_at")
        return [((row.sampled_at - START).total_seconds(), row.num_requests) for row in rows]

    def test_sums_up_complete_minutes_only(self, demo: Deployment) -> None:
        self._record(demo, 2, 30, 60, 62, 118)
        services.roll_up(now=at(119))
        assert self._list_minutes() == [(60.0, 6)]
        services.roll_up(now=at(121))
        assert self._list_minutes() == [(60.0, 6), (120.0, 4)]
        minute = DeploymentSample.objects.get(interval_s=60.0, sampled_at=at(60))
        assert (minute.output_tokens, minute.ttft_p50_s) == (30, 0.5)
        shard = ShardSample.objects.get(interval_s=60.0, sampled_at=at(120))
        assert (shard.shard_id, shard.num_running) == ("s1", 90.0)

    def test_changes_nothing_the_second_time(self, demo: Deployment) -> None:
        self._record(demo, 2, 60)
        services.roll_up(now=at(121))
        services.roll_up(now=at(121))
        assert self._list_minutes() == [(60.0, 4)]
        assert ShardSample.objects.filter(interval_s=60.0).count() == 1

    def test_takes_in_intervals_that_came_late(self, demo: Deployment) -> None:
        self._record(demo, 2, 60)
        services.roll_up(now=at(121))
        self._record(demo, 30)
        services.roll_up(now=at(181))
        assert self._list_minutes() == [(60.0, 6)]

    def test_catches_up_after_hours_without_it(self, demo: Deployment) -> None:
        self._record(demo, 60, 3600, 7200)
        services.roll_up(now=at(7201))
        assert self._list_minutes() == [(60.0, 2), (3600.0, 2), (7200.0, 2)]

    def test_sums_up_hours_from_minutes(self, demo: Deployment) -> None:
        self._record(demo, 60, 1800, 3600, 3660)
        services.roll_up(now=at(3661))
        services.roll_up(now=at(7201))
        hours = DeploymentSample.objects.filter(interval_s=3600.0).order_by("sampled_at")
        assert [(row.sampled_at, row.num_requests, row.ttft_p50_s) for row in hours] == [
            (at(3600), 6, 0.5),
            (at(7200), 2, 0.5),
        ]
        shard = ShardSample.objects.get(interval_s=3600.0, sampled_at=at(3600))
        assert shard.num_running == (60 + 1800 + 3600) / 3

    def test_keeps_deployments_apart(self, demo: Deployment) -> None:
        self._record(demo, 2)
        self._record(create_deployment("other"), 4)
        services.roll_up(now=at(61))
        rows = DeploymentSample.objects.filter(interval_s=60.0).order_by("deployment__name")
        assert [(row.deployment.name, row.num_requests) for row in rows] == [("demo", 2), ("other", 2)]

    def test_deletes_what_is_too_old(self, demo: Deployment) -> None:
        self._record(demo, 2, 62)
        services.roll_up(now=at(121))
        services.roll_up(now=at(62) + timedelta(hours=6))
        assert [row.sampled_at for row in DeploymentSample.objects.filter(interval_s=2.0)] == [at(62)]
        assert [row.sampled_at for row in ShardSample.objects.filter(interval_s=2.0)] == [at(62)]
        services.roll_up(now=at(120) + timedelta(days=30))
        for model in (DeploymentSample, ShardSample):
            kept = model.objects.order_by("interval_s").values_list("interval_s", "sampled_at")
            assert list(kept) == [(60.0, at(120)), (3600.0, at(3600))]

    def test_does_nothing_without_samples(self) -> None:
        services.roll_up(now=at(0))
        assert DeploymentSample.objects.count() == 0
