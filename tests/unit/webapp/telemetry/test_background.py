"""Who gets background traffic, how much, and with which key."""

import hashlib
from datetime import datetime, timedelta

import pytest

from engine.domain.slo import Slo
from tests.support.serving import create_serving, store_plan, store_shard
from tests.support.telemetry import create_deployment
from webapp.core.errors import NotFoundError
from webapp.core.models import AuditEntry
from webapp.deployments.models import DeploymentState, GatewayKey
from webapp.telemetry import background
from webapp.telemetry.background import TrafficTarget

pytestmark = pytest.mark.django_db


class TestListTargets:
    """The targets of background traffic..."""

    def test_get_half_of_what_the_plan_carries(self) -> None:
        demo = create_serving()
        store_plan(demo, requests_per_s=6.0)
        store_shard(demo, max_model_len=512)
        store_shard(demo, max_model_len=256)
        assert background.list_targets() == [
            TrafficTarget(
                deployment_name="demo",
                model_name="demo",
                requests_per_s=1.5,
                prompt_tokens=56.0,
                output_tokens=28.0,
                max_model_len=256,
                slo=Slo(),
            )
        ]

    @pytest.mark.parametrize("state", list(DeploymentState))
    def test_serve(self, state: DeploymentState) -> None:
        demo = create_serving(state=state)
        store_plan(demo, requests_per_s=6.0)
        store_shard(demo, max_model_len=512)
        is_target = state in {DeploymentState.LIVE, DeploymentState.DEGRADED}
        assert [target.deployment_name for target in background.list_targets()] == (["demo"] if is_target else [])

    def test_are_switched_on(self) -> None:
        demo = create_serving(is_on=False)
        store_plan(demo, requests_per_s=6.0)
        store_shard(demo, max_model_len=512)
        assert background.list_targets() == []

    def test_have_a_plan_that_predicts_a_rate_and_a_shard(self) -> None:
        create_serving("no-plan")
        no_shard = create_serving("no-shard")
        store_plan(no_shard, requests_per_s=6.0)
        no_rate = create_serving("no-rate")
        store_plan(no_rate, requests_per_s=0.0)
        store_shard(no_rate, max_model_len=512)
        assert background.list_targets() == []


class TestRenewKey:
    """The key of background traffic..."""

    def test_replaces_the_earlier_one(self, now: datetime) -> None:
        demo = create_deployment()
        first = background.renew_key(deployment_name="demo", now=now)
        second = background.renew_key(deployment_name="demo", now=now + timedelta(seconds=1))
        assert first != second
        [valid] = GatewayKey.objects.filter(deployment=demo, revoked_at=None)
        assert valid.key_hash == hashlib.sha256(second.encode()).hexdigest()
        assert valid.name == "background traffic"
        assert GatewayKey.objects.get(revoked_at=now + timedelta(seconds=1)).created_at == now

    def test_leaves_keys_of_people_and_other_deployments_alone(self, now: datetime) -> None:
        create_deployment()
        create_deployment("other")
        background.renew_key(deployment_name="other", now=now)
        background.renew_key(deployment_name="demo", now=now)
        background.renew_key(deployment_name="demo", now=now)
        assert GatewayKey.objects.filter(deployment__name="other", revoked_at=None).count() == 1

    def test_is_audited(self, now: datetime) -> None:
        create_deployment()
        background.renew_key(deployment_name="demo", now=now)
        background.renew_key(deployment_name="demo", now=now)
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
        assert actions == ["gateway-key.create", "gateway-key.revoke", "gateway-key.create"]

    def test_needs_the_deployment(self, now: datetime) -> None:
        with pytest.raises(NotFoundError):
            background.renew_key(deployment_name="none", now=now)
        assert GatewayKey.objects.count() == 0
