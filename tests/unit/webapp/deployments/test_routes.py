"""The routing table."""

from datetime import datetime
from typing import Any

import pytest

from webapp.deployments import services
from webapp.deployments.models import ShardState
from webapp.deployments.routes import build_routing_table

pytestmark = pytest.mark.django_db


class TestBuildRoutingTable:
    def test_is_empty_without_deployments(self) -> None:
        table = build_routing_table()
        assert table.deployments == ()
        assert len(table.version) == 32

    def test_routes_by_the_plans_shares(self, world: Any) -> None:
        deployment = world.make_live()
        (routes,) = build_routing_table().deployments
        assert (routes.name, routes.model_name) == ("chat", "demo")
        assert [item.id for item in routes.classes] == ["p128-o64", "p1024-o256"]
        assert (routes.slo.ttft_s, routes.slo.percentile) == (2.0, 90.0)
        for route in routes.shards:
            assert route.weights == {"p1024-o256": 0.5, "p128-o64": 0.5}
            assert (route.accepts_requests, route.strips_seed) == (True, True)
        urls = set(deployment.shards.values_list("url", flat=True))
        assert {route.url for route in routes.shards} == urls

    @pytest.mark.parametrize("state", [state for state in ShardState if state is not ShardState.READY])
    def test_sends_nothing_to_a_shard_that_is_not_ready(self, world: Any, state: ShardState) -> None:
        deployment = world.make_live()
        shard = deployment.shards.first()
        deployment.shards.filter(pk=shard.pk).update(state=state)
        (routes,) = build_routing_table().deployments
        accepting = [route.shard_id for route in routes.shards if route.accepts_requests]
        assert accepting == list(deployment.shards.exclude(pk=shard.pk).values_list("shard_id", flat=True))

    def test_sends_nothing_to_a_deployment_that_stops(self, world: Any, now: datetime) -> None:
        world.make_live()
        services.stop_deployment(actor=None, name="chat", now=now)
        (routes,) = build_routing_table().deployments
        assert not any(route.accepts_requests for route in routes.shards)

    def test_keeps_the_keys_of_a_stopped_deployment_but_no_shard(self, world: Any, now: datetime) -> None:
        deployment = world.make_live()
        key, _ = services.create_gateway_key(actor=None, deployment_name="chat", key_name="ci", now=now)
        world.stop(deployment)
        world.reconcile(deployment)
        (routes,) = build_routing_table().deployments
        assert routes.shards == ()
        assert routes.key_hashes == (key.key_hash,)

    def test_takes_keys_until_they_are_revoked(self, world: Any, now: datetime) -> None:
        world.start()
        key, _ = services.create_gateway_key(actor=None, deployment_name="chat", key_name="ci", now=now)
        assert build_routing_table().deployments[0].key_hashes == (key.key_hash,)
        services.revoke_gateway_key(actor=None, key_id=key.pk, now=now)
        assert build_routing_table().deployments[0].key_hashes == ()

    def test_changes_its_version_with_its_content_only(self, world: Any, now: datetime) -> None:
        deployment = world.make_live()
        version = build_routing_table().version
        world.reconcile(deployment)
        assert build_routing_table().version == version
        services.set_background_traffic(actor=None, name="chat", is_on=True, now=now)
        assert build_routing_table().version == version
        services.create_gateway_key(actor=None, deployment_name="chat", key_name="ci", now=now)
        assert build_routing_table().version != version

    def test_asks_the_database_a_fixed_number_of_times(self, world: Any, django_assert_num_queries: Any) -> None:
        for name in ("one", "two", "three"):
            world.make_live(name=name)
        with django_assert_num_queries(3):
            assert len(build_routing_table().deployments) == 3
