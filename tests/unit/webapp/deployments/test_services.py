"""What people do to deployments."""

import hashlib
import subprocess
import threading
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.errors import InvalidInputError
from webapp.core.errors import NotFoundError
from webapp.core.models import AuditEntry, Event, User
from webapp.deployments import services, sweep
from webapp.deployments.models import GatewayKey, LedgerEntry
from webapp.planning.models import PlanRequest

pytestmark = pytest.mark.django_db


class TestStopDeployment:
    def test_is_written_down_with_who_did_it(self, world: Any, planner: User, now: datetime) -> None:
        world.make_live()
        deployment = services.stop_deployment(actor=planner, name="chat", now=now)
        assert (deployment.state, deployment.state_reason) == ("stopping", "stopped by planner")
        assert AuditEntry.objects.get(action="deployment.stop").actor == planner
        event = Event.objects.filter(topic="deployment:chat", kind="state").latest("pk")
        assert event.payload == {"state": "stopping", "reason": "stopped by planner"}

    def test_changes_nothing_the_second_time(self, world: Any, now: datetime) -> None:
        world.make_live()
        for _ in range(2):
            services.stop_deployment(actor=None, name="chat", now=now)
        assert AuditEntry.objects.filter(action="deployment.stop").count() == 1

    def test_leaves_no_approved_plan_that_would_start_it_again(self, world: Any, planner: User, now: datetime) -> None:
        deployment = world.make_live()
        waiting, other = world.approve(), world.approve(name="other")
        services.stop_deployment(actor=planner, name="chat", now=now)
        waiting.refresh_from_db()
        other.refresh_from_db()
        assert (waiting.state, other.state) == ("stale", "approved")
        assert waiting.state_reason == "the deployment was stopped by planner: solve it again"
        move = AuditEntry.objects.get(action="plan-request.move", object_id=str(waiting.pk), detail__to="stale")
        assert (move.actor, move.detail["from"]) == (planner, "approved")
        world.reconcile(deployment)
        assert sweep.list_unapplied_ids() == [other.pk]
        assert (deployment.state, world.cloud.machines) == ("stopped", {})

    def test_withdraws_what_was_approved_after_the_first_stop(self, world: Any, now: datetime) -> None:
        world.stop(world.make_live())
        waiting = world.approve()
        services.stop_deployment(actor=None, name="chat", now=now)
        waiting.refresh_from_db()
        assert waiting.state == "stale"

    def test_names_a_deployment_that_is_not_there(self, now: datetime) -> None:
        with pytest.raises(NotFoundError, match="there is no deployment nope"):
            services.stop_deployment(actor=None, name="nope", now=now)


class TestSetBackgroundTraffic:
    def test_tells_pages_once(self, world: Any, planner: User, now: datetime) -> None:
        world.start()
        for _ in range(2):
            row = services.set_background_traffic(actor=planner, name="chat", is_on=True, now=now)
        assert row.has_background_traffic
        assert [event.payload for event in Event.objects.filter(kind="traffic")] == [{"is_on": True}]
        assert AuditEntry.objects.get(action="deployment.background-traffic").detail == {"is_on": True}


class TestSetSpendLimit:
    def test_starts_its_warning_anew(self, world: Any, admin: User, now: datetime) -> None:
        deployment = world.start()
        deployment.spend_warned_at = now
        deployment.save()
        row = services.set_spend_limit(actor=admin, name="chat", spend_limit_usd=Decimal("12.5"), now=now)
        assert (row.spend_limit_usd, row.spend_warned_at) == (Decimal("12.5"), None)
        assert AuditEntry.objects.get(action="deployment.spend-limit").detail == {"spend_limit_usd": "12.5"}

    def test_refuses_nothing_to_spend(self, world: Any, now: datetime) -> None:
        world.start()
        with pytest.raises(InvalidInputError) as caught:
            services.set_spend_limit(actor=None, name="chat", spend_limit_usd=Decimal(0), now=now)
        assert caught.value.field == "spend_limit_usd"


class TestGatewayKeys:
    def test_are_kept_as_a_hash_only(self, world: Any, planner: User, now: datetime) -> None:
        world.start()
        key, plaintext = services.create_gateway_key(actor=planner, deployment_name="chat", key_name=" ci ", now=now)
        assert plaintext.startswith("mdk_")
        assert key.key_hash == hashlib.sha256(plaintext.encode()).hexdigest()
        assert (key.name, key.prefix) == ("ci", plaintext[:12])
        audit = AuditEntry.objects.get(action="gateway-key.create")
        assert audit.detail == {"key_id": key.pk, "name": "ci"}

    def test_need_a_name(self, world: Any, now: datetime) -> None:
        world.start()
        with pytest.raises(InvalidInputError) as caught:
            services.create_gateway_key(actor=None, deployment_name="chat", key_name="  ", now=now)
        assert caught.value.field == "name"
        assert not GatewayKey.objects.exists()

    def test_are_revoked_for_good(self, world: Any, now: datetime) -> None:
        world.start()
        key, _ = services.create_gateway_key(actor=None, deployment_name="chat", key_name="ci", now=now)
        for _ in range(2):
            assert services.revoke_gateway_key(actor=None, key_id=key.pk, now=now).revoked_at == now
        assert AuditEntry.objects.filter(action="gateway-key.revoke").count() == 1

    def test_are_not_revoked_through_another_deployment(self, world: Any, now: datetime) -> None:
        world.start()
        key, _ = services.create_gateway_key(actor=None, deployment_name="chat", key_name="ci", now=now)
        with pytest.raises(NotFoundError):
            services.revoke_gateway_key(actor=None, key_id=key.pk, deployment_name="other", now=now)
        key.refresh_from_db()
        assert key.revoked_at is None


class TestReleaseLocalMachines:
    def release(self, world: Any) -> int:
        return services.release_local_machines(now=world.clock(), access=world.cloud.build_access(), clock=world.clock)

    def test_leaves_nothing_behind_but_the_wish(self, world: Any) -> None:
        deployment = world.make_live()
        assert self.release(world) == 2
        deployment.refresh_from_db()
        assert (deployment.state, deployment.state_reason) == ("applying", "waits for the console on this host")
        assert PlanRequest.objects.get(pk=deployment.plan_request_id).state == "live"
        assert world.cloud.machines == {}
        assert not LedgerEntry.objects.filter(closed_at=None).exists()
        assert deployment.reconcile_token == ""

    def test_is_undone_by_the_next_reconciling(self, world: Any) -> None:
        deployment = world.make_live()
        self.release(world)
        world.reconcile(deployment)
        assert deployment.state == "live"
        assert LedgerEntry.objects.count() == 4

    def test_does_not_bring_stopped_deployments_back(self, world: Any) -> None:
        deployment = world.make_live()
        world.stop(deployment)
        self.release(world)
        world.reconcile(deployment)
        assert deployment.state == "stopped"
        assert world.cloud.machines == {}

    def test_stops_whoever_reconciles(self, world: Any) -> None:
        deployment = world.make_live()
        token = str(world.list_held(deployment)[0].token)
        world.cloud.kill_agent(token)
        original, released = world.cloud.rent, []

        def rent_and_release(order: Any) -> Any:
            released.append(self.release(world))
            return original(order)

        world.cloud.rent = rent_and_release
        assert world.reconcile(deployment).is_busy
        assert released == [2]

    def test_lets_machines_end_side_by_side(self, world: Any) -> None:
        world.make_live()
        original, both = world.cloud.release, threading.Barrier(2)

        def release(token: str) -> None:
            both.wait(timeout=5.0)  # breaks unless the other one is being released at the same time
            original(token)

        world.cloud.release = release
        assert self.release(world) == 2

    def test_goes_on_when_one_machine_cannot_be_released(self, world: Any) -> None:
        deployment = world.make_live()
        bad, good = world.list_held(deployment)
        original = world.cloud.release

        def release(token: str) -> None:
            if token == str(bad.token):
                raise subprocess.TimeoutExpired("agent", 60)
            original(token)

        world.cloud.release = release
        assert self.release(world) == 1
        (left,) = world.list_held(deployment)
        assert (left.pk, left.state) == (bad.pk, "releasing")
        assert left.state_reason == "releasing failed: TimeoutExpired, see the log"
        assert LedgerEntry.objects.get(machine=good).closed_at is not None
        deployment.refresh_from_db()
        assert (deployment.state, deployment.reconcile_token) == ("applying", "")

    def test_counts_nothing_when_nothing_is_held(self, world: Any) -> None:
        assert self.release(world) == 0
