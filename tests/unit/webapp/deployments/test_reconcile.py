"""The reconcile loop against a cloud without processes."""

import contextlib
import copy
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from engine.domain.plan import Plan
from engine.serving.protocol import VllmAvailability
from tests.support.fake_cloud import Killed
from webapp.core.models import AuditEntry, Event
from webapp.deployments import lease
from webapp.deployments.models import (
    Deployment,
    DeploymentState,
    LedgerEntry,
    Machine,
    MachineState,
    Shard,
    ShardState,
)
from webapp.planning.models import PlanRequest, PlanState

pytestmark = pytest.mark.django_db


def get_plan_state(deployment: Deployment) -> str:
    return PlanRequest.objects.get(pk=deployment.plan_request_id).state


def list_shard_states(deployment: Deployment) -> list[str]:
    return list(deployment.shards.order_by("shard_id").values_list("state", flat=True))


def get_stride() -> int:
    """Return how many points to go on at a time: all of them on the fast database, a sample on the other."""
    return 1 if connection.vendor == "sqlite" else 7


class TestMakingAPlanReal:
    """A plan that was handed over..."""

    def test_goes_live_with_every_shard_ready(self, world: Any) -> None:
        deployment = world.start()
        result = world.reconcile(deployment)
        assert (deployment.state, deployment.state_reason, get_plan_state(deployment)) == ("live", "", "live")
        assert (result.is_moving, result.is_busy) == (False, False)
        assert [machine.state for machine in world.list_held(deployment)] == ["ready", "ready"]
        assert list_shard_states(deployment) == ["ready", "ready"]
        assert len(world.cloud.starts) == len(set(world.cloud.starts)) == 2

    def test_names_shards_after_replica_and_machine(self, world: Any) -> None:
        deployment = world.make_live()
        first, second = world.list_held(deployment)
        assert sorted(deployment.shards.values_list("shard_id", flat=True)) == sorted(
            [f"chat-r1-{str(first.token)[:8]}", f"chat-r2-{str(second.token)[:8]}"]
        )

    def test_tells_agents_what_the_plan_says(self, world: Any) -> None:
        deployment = world.make_live()
        machine = world.cloud.machines[str(world.list_held(deployment)[0].token)]
        (shard,) = machine.shards.values()
        assert shard.spec.model_path == "/models/demo"
        assert (shard.spec.served_model_name, shard.spec.max_model_len) == ("demo", 4096)
        assert (shard.spec.kv_cache_memory_bytes, shard.spec.extra_args) == (268435456, {})
        assert (shard.spec.max_num_seqs, shard.spec.max_num_batched_tokens) == (16, 2048)

    def test_opens_a_ledger_entry_per_machine_at_the_start_of_renting(self, world: Any) -> None:
        deployment = world.make_live()
        entries = LedgerEntry.objects.filter(machine__deployment=deployment)
        assert [entry.usd_per_hour for entry in entries] == [Decimal("0.02"), Decimal("0.02")]
        assert all(entry.opened_at == entry.machine.rent_started_at for entry in entries)
        assert all(entry.closed_at is None for entry in entries)

    def test_is_written_down_as_events_and_audit_rows(self, world: Any) -> None:
        deployment = world.make_live()
        states = Event.objects.filter(topic="deployments", kind="state").values_list("payload", flat=True)
        assert list(states) == [{"name": "chat", "state": "live"}]
        shards = Event.objects.filter(topic="deployment:chat", kind="shard").order_by("pk")
        assert [row.payload["state"] for row in shards] == [
            "pending",
            "pending",
            "starting",
            "starting",
            "ready",
            "ready",
        ]
        moves = AuditEntry.objects.filter(action="machine.move", object_id=str(world.list_held(deployment)[0].token))
        assert [row.detail["to"] for row in moves.order_by("pk")] == ["reserved", "starting", "ready"]

    def test_changes_nothing_when_it_is_live(self, world: Any) -> None:
        deployment = world.make_live()
        num_events, num_calls = Event.objects.count(), len(world.cloud.calls)
        result = world.reconcile(deployment)
        assert (result.num_steps, result.is_moving) == (0, False)
        assert Event.objects.count() == num_events
        assert world.cloud.calls[num_calls:] == ["describe", "put_shards"] * 2

    def test_waits_without_failing_while_vllm_is_missing(self, world: Any) -> None:
        world.cloud.vllm = VllmAvailability(is_available=False, reason="vLLM is being installed")
        deployment = world.start()
        result = world.reconcile(deployment)
        assert (deployment.state, get_plan_state(deployment)) == ("applying", "applying")
        assert deployment.state_reason.endswith("vLLM is being installed (and 1 more)")
        assert list_shard_states(deployment) == ["pending", "pending"]
        assert not result.is_moving
        world.cloud.vllm = VllmAvailability(is_available=True)
        world.reconcile(deployment)
        assert deployment.state == "live"

    def test_is_reserved_but_not_rented_while_the_provider_has_none(self, world: Any) -> None:
        world.cloud.rent_failure = "no slot left"
        deployment = world.start()
        world.reconcile(deployment)
        machines = world.list_held(deployment)
        assert [(one.state, one.state_reason) for one in machines] == [("reserved", "no slot left")] * 2
        assert deployment.state == "applying"
        assert "no slot left" in deployment.state_reason
        assert not LedgerEntry.objects.exists()
        world.cloud.rent_failure = ""
        world.reconcile(deployment)
        assert deployment.state == "live"

    def test_fails_when_every_shard_has_failed_and_recovers_with_them(self, world: Any) -> None:
        deployment = world.make_live()
        for machine in world.cloud.machines.values():
            for shard in machine.shards.values():
                shard.failure = "ended with code 1"
        world.reconcile(deployment)
        assert deployment.state == "failed"
        assert deployment.state_reason.endswith("ended with code 1 (and 1 more)")
        for machine in world.cloud.machines.values():
            for shard in machine.shards.values():
                shard.failure = ""
        world.reconcile(deployment)
        assert (deployment.state, get_plan_state(deployment)) == ("live", "live")

    def test_is_degraded_while_some_shard_is_not_ready(self, world: Any) -> None:
        deployment = world.make_live()
        next(iter(next(iter(world.cloud.machines.values())).shards.values())).failure = "ended with code 1"
        world.reconcile(deployment)
        assert deployment.state == "degraded"

    def test_keeps_to_the_budget(self, world: Any) -> None:
        deployment = world.start(budget_usd_per_hour=Decimal("0.03"))
        world.reconcile(deployment)
        assert len(world.list_held(deployment)) == 1
        assert deployment.state == "applying"
        assert deployment.state_reason == "machine m2 at 0.02 USD/h does not fit the budget of 0.03 USD/h"


class UndoError(Exception):
    """Ends a block whose changes shall not stay."""


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """Run a block and take its changes back, so that a beginning made once serves many times."""
    with contextlib.suppress(UndoError), transaction.atomic():
        yield
        raise UndoError


class TestBeingKilled:
    """Reconciling that is killed, before or after any call or between any two writes..."""

    @pytest.mark.slow
    @pytest.mark.parametrize("killer", ["cloud", "clock"])
    def test_on_the_way_to_live_converges_without_a_double_rent(self, world: Any, killer: str) -> None:
        world.clock.pace = 5.0
        deployment = world.start()
        for _ in self.visit_points(world, killer):
            self.run(world, deployment)
            assert (deployment.state, get_plan_state(deployment)) == ("live", "live")
            self.check_machines(world, deployment)

    @pytest.mark.slow
    @pytest.mark.parametrize("killer", ["cloud", "clock"])
    def test_on_the_way_to_its_end_leaves_nothing(self, world: Any, killer: str) -> None:
        world.clock.pace = 5.0
        deployment = world.make_live()
        world.stop(deployment)
        for _ in self.visit_points(world, killer):
            self.run(world, deployment)
            assert (deployment.state, get_plan_state(deployment)) == ("stopped", "stopped")
            assert world.cloud.machines == {}
            entries = LedgerEntry.objects.filter(machine__deployment=deployment)
            assert [entry.closed_at is None for entry in entries] == [False, False]

    def visit_points(self, world: Any, killer: str) -> Iterator[int]:
        """Yield once per point at which the caller is killed, each time from the same beginning.

        The first round is not disturbed: it counts the points.
        """
        cloud, clock = world.cloud, world.clock
        num_points, point = 1, -1
        while point < num_points:
            with undone():
                world.cloud = replace(copy.deepcopy(cloud), num_points=0)
                world.clock = replace(clock, num_readings=0)
                if point >= 0:
                    self.set_trap(world, killer, point)
                yield point
                num_passed = world.cloud.num_points if killer == "cloud" else world.clock.num_readings
            assert num_passed > point
            num_points = num_passed if point < 0 else num_points
            point += 1 if point < 0 else get_stride()
        assert num_points > 10

    def set_trap(self, world: Any, killer: str, point: int) -> None:
        if killer == "cloud":
            world.cloud.kills_at = point
        else:
            world.clock.kills_at = point + 1

    def run(self, world: Any, deployment: Deployment) -> None:
        try:
            world.reconcile(deployment)
        except Killed:
            # what a dead process leaves: its lease, until it ends
            deadline = world.clock.now + lease.LEASE
            Deployment.objects.filter(pk=deployment.pk).update(reconcile_token="dead", reconcile_until=deadline)
            assert world.reconcile(deployment).is_busy
            world.clock.sleep(lease.LEASE.total_seconds())
            world.reconcile(deployment)

    def check_machines(self, world: Any, deployment: Deployment) -> None:
        machines = world.list_held(deployment)
        assert sorted(world.cloud.machines) == sorted(str(machine.token) for machine in machines)
        assert len(machines) == Machine.objects.filter(deployment=deployment).count() == 2
        assert len(world.cloud.starts) == 2
        assert len(world.cloud.spec_starts) == 2
        assert sum(machine.usd_per_hour for machine in machines) == Decimal("0.04")
        assert LedgerEntry.objects.filter(machine__deployment=deployment).count() == 2


class TestLosingMachines:
    """A machine whose agent ends..."""

    def test_is_started_again_under_its_token_and_its_shards_are_adopted(self, world: Any) -> None:
        deployment = world.make_live()
        token = str(world.list_held(deployment)[0].token)
        world.cloud.kill_agent(token)
        world.reconcile(deployment)
        assert deployment.state == "live"
        assert world.cloud.starts.count(token) == 2
        assert len(world.cloud.machines) == 2
        assert len(world.cloud.spec_starts) == 2  # no shard was started a second time
        assert LedgerEntry.objects.count() == 2

    def test_is_written_down_as_lost_in_between(self, world: Any) -> None:
        deployment = world.make_live()
        token = str(world.list_held(deployment)[0].token)
        world.cloud.kill_agent(token)
        world.reconcile(deployment)
        moves = AuditEntry.objects.filter(action="machine.move", object_id=token).order_by("pk")
        assert [row.detail["to"] for row in moves][-3:] == ["lost", "starting", "ready"]

    def test_is_started_once_per_call_when_it_ends_again_at_once(self, world: Any) -> None:
        deployment = world.make_live()
        token = str(world.list_held(deployment)[0].token)
        world.cloud.kill_agent(token)
        original = world.cloud.rent
        world.cloud.rent = lambda order: (original(order), world.cloud.kill_agent(token))[0]
        result = world.reconcile(deployment, watch_s=5.0)
        assert world.cloud.starts.count(token) == 2
        assert (deployment.state, result.is_moving) == ("degraded", True)

    def test_is_replaced_when_its_provider_no_longer_has_it(self, world: Any) -> None:
        deployment = world.make_live()
        gone = world.list_held(deployment)[0]
        del world.cloud.machines[str(gone.token)]
        world.reconcile(deployment)
        gone.refresh_from_db()
        assert (gone.state, gone.state_reason) == ("released", "its provider no longer has it")
        assert gone.ledger.closed_at is not None
        assert deployment.state == "live"
        assert len(world.list_held(deployment)) == 2

    def test_hangs_and_degrades_the_deployment_while_its_shards_stay_in_service(self, world: Any) -> None:
        deployment = world.make_live()
        lost = world.list_held(deployment)[0]
        world.cloud.machines[str(lost.token)].hangs = True
        world.reconcile(deployment, watch_s=1.0)
        lost.refresh_from_db()
        assert (lost.state, deployment.state) == ("lost", "degraded")
        assert "does not answer" in deployment.state_reason
        assert list_shard_states(deployment) == ["ready", "ready"]
        assert len(world.cloud.starts) == 2

    def test_is_replaced_when_it_hangs_for_too_long(self, world: Any) -> None:
        deployment = world.make_live()
        lost, other = world.list_held(deployment)
        world.cloud.machines[str(lost.token)].hangs = True
        world.reconcile(deployment, watch_s=1.0)
        world.clock.sleep(290.0)
        world.reconcile(deployment, watch_s=1.0)
        lost.refresh_from_db()
        assert (lost.state, deployment.state) == ("lost", "degraded")
        world.clock.sleep(10.0)
        world.reconcile(deployment)
        lost.refresh_from_db()
        assert (lost.state, deployment.state) == ("released", "live")
        assert lost.ledger.closed_at == lost.released_at
        assert str(lost.token) not in world.cloud.machines
        assert [one.plan_machine_id for one in world.list_held(deployment)] == ["m2", "m1"]
        assert world.list_held(deployment)[0].pk == other.pk
        move = AuditEntry.objects.get(action="machine.move", object_id=str(lost.token), detail__to="releasing")
        assert move.detail["reason"] == "its node agent has not answered for too long"

    def test_counts_its_time_anew_when_it_answered_in_between(self, world: Any) -> None:
        deployment = world.make_live()
        lost = world.list_held(deployment)[0]
        for _ in range(2):
            world.cloud.machines[str(lost.token)].hangs = True
            world.reconcile(deployment, watch_s=0.0)
            world.clock.sleep(200.0)
            world.cloud.machines[str(lost.token)].hangs = False
            world.reconcile(deployment, watch_s=0.0)
        lost.refresh_from_db()
        assert (lost.state, lost.lost_at) == ("ready", None)

    def test_does_not_keep_the_others_waiting_when_asking_fails(self, world: Any) -> None:
        deployment = world.make_live()
        bad, good = (str(one.token) for one in world.list_held(deployment))
        original = world.cloud.describe

        def describe(token: str) -> Any:
            if token == bad:
                raise subprocess.TimeoutExpired("agent", 60)
            return original(token)

        world.cloud.describe = describe
        world.cloud.kill_agent(good)
        world.reconcile(deployment)
        assert world.cloud.starts.count(good) == 2
        reasons = [one.state_reason for one in world.list_held(deployment)]
        assert reasons == ["asking the provider failed: TimeoutExpired, see the log", ""]

    def test_stays_as_it_is_while_the_provider_is_silent(self, world: Any) -> None:
        deployment = world.make_live()
        world.cloud.is_silent = True
        world.reconcile(deployment)
        assert [machine.state for machine in world.list_held(deployment)] == ["ready", "ready"]
        assert deployment.state == "live"


class TestReplacingAPlan:
    """Another plan for the same deployment..."""

    def replace(self, world: Any, deployment: Deployment, plan: Plan, **changes: Any) -> PlanRequest:
        request: PlanRequest = world.approve(plan, **changes)
        world.apply(request)
        deployment.refresh_from_db()
        return request

    def test_supersedes_the_old_one_and_keeps_its_machines(self, world: Any) -> None:
        deployment = world.make_live()
        old, tokens = deployment.plan_request_id, [one.token for one in world.list_held(deployment)]
        new = self.replace(world, deployment, world.make_local_plan(3), budget_usd_per_hour=Decimal("0.06"))
        assert PlanRequest.objects.get(pk=old).state == PlanState.SUPERSEDED
        assert deployment.state == "applying"
        world.reconcile(deployment)
        assert (deployment.state, deployment.plan_request_id) == ("live", new.pk)
        assert [one.token for one in world.list_held(deployment)][:2] == tokens
        assert len(world.cloud.starts) == 3
        assert len(world.cloud.spec_starts) == 3  # the first two shards went on
        assert {tuple(sorted(shard.weights.values())) for shard in Shard.objects.all()} == {(1 / 3, 1 / 3)}

    def test_releases_surplus_machines_only_when_the_rest_is_ready(self, world: Any) -> None:
        deployment = world.make_live()
        self.replace(world, deployment, world.make_local_plan(1))
        world.reconcile(deployment)
        assert deployment.state == "live"
        assert [machine.plan_machine_id for machine in world.list_held(deployment)] == ["m1"]
        assert len(world.cloud.machines) == 1
        assert len(world.cloud.starts) == 2

    def test_changes_shards_one_machine_at_a_time(self, world: Any) -> None:
        deployment = world.make_live()
        self.replace(world, deployment, world.make_local_plan(2, max_num_seqs=8))
        num_ready = []
        original = world.clock.sleep

        def sleep_and_count(seconds: float) -> None:
            num_ready.append(Shard.objects.filter(state=ShardState.READY).count())
            original(seconds)

        world.clock.sleep = sleep_and_count
        world.reconcile(deployment)
        assert deployment.state == "live"
        assert min(num_ready) == 1
        assert all(
            shard.spec.max_num_seqs == 8
            for machine in world.cloud.machines.values()
            for shard in machine.shards.values()
        )
        assert len(world.cloud.spec_starts) == 4

    def test_makes_room_in_the_budget_first_when_it_must(self, world: Any, load_offer: Any) -> None:
        other = load_offer(
            provider="local",
            region="this-host",
            instance_type="big-slot",
            gpu_name="cpu-slot",
            gpu_count=1,
            usd_per_hour=0.03,
            available_count=2,
        )
        deployment = world.make_live()
        plan = world.make_local_plan(1)
        machine = replace(plan.machines[0], offer_id=other.id, usd_per_hour=0.03)
        plan = replace(plan, machines=(machine,), usd_per_hour=0.03)
        self.replace(world, deployment, plan)
        world.reconcile(deployment)
        assert deployment.state == "live"
        assert [machine.offer_id for machine in world.list_held(deployment)] == [other.id]
        reserved = AuditEntry.objects.filter(action="machine.move", detail__to="reserved").count()
        assert reserved == 3

    def test_takes_over_before_the_old_one_was_ever_live(self, world: Any) -> None:
        world.cloud.vllm = VllmAvailability(is_available=False, reason="vLLM is being installed")
        deployment = world.start()
        world.reconcile(deployment)
        old = deployment.plan_request_id
        self.replace(world, deployment, world.make_local_plan(1))
        world.cloud.vllm = VllmAvailability(is_available=True)
        world.reconcile(deployment)
        assert PlanRequest.objects.get(pk=old).state == PlanState.SUPERSEDED
        assert (deployment.state, len(world.cloud.machines)) == ("live", 1)


class TestStopping:
    """A deployment that is stopped..."""

    def test_releases_everything_and_ends_its_plan(self, world: Any) -> None:
        deployment = world.make_live()
        world.stop(deployment)
        assert deployment.state == "stopping"
        world.reconcile(deployment)
        assert (deployment.state, get_plan_state(deployment)) == ("stopped", "stopped")
        assert world.cloud.machines == {}
        assert list_shard_states(deployment) == ["stopped", "stopped"]
        assert not LedgerEntry.objects.filter(closed_at=None).exists()

    def test_lets_gateways_turn_away_before_it_releases(self, world: Any) -> None:
        deployment = world.make_live()
        world.stop(deployment)
        world.reconcile(deployment, watch_s=1.0)
        assert len(world.cloud.machines) == 2
        assert list_shard_states(deployment) == ["stopping", "stopping"]
        world.clock.sleep(2.0)
        world.reconcile(deployment, watch_s=0.0)
        assert deployment.state == "stopped"

    def test_waits_for_requests_but_not_for_ever(self, world: Any) -> None:
        deployment = world.make_live()
        for machine in world.cloud.machines.values():
            for shard in machine.shards.values():
                shard.num_requests = 1
        world.stop(deployment)
        began = world.clock.now
        world.reconcile(deployment, watch_s=10.0)
        assert len(world.cloud.machines) == 2
        world.reconcile(deployment, watch_s=60.0)
        assert deployment.state == "stopped"
        assert timedelta(seconds=20) <= world.clock.now - began < timedelta(seconds=22)

    def test_stops_at_once_when_nothing_serves_yet(self, world: Any) -> None:
        deployment = world.start()
        world.stop(deployment)
        world.reconcile(deployment, watch_s=0.0)
        assert (deployment.state, world.cloud.starts) == ("stopped", [])

    def test_is_tried_again_when_a_machine_cannot_be_released(self, world: Any) -> None:
        deployment = world.make_live()
        world.stop(deployment)
        world.cloud.release_failure = "shards could not be stopped"
        world.reconcile(deployment, watch_s=5.0)
        assert deployment.state == "stopping"
        assert {one.state_reason for one in world.list_held(deployment)} == {"shards could not be stopped"}
        world.cloud.release_failure = ""
        world.reconcile(deployment)
        assert deployment.state == "stopped"

    def test_can_be_made_again_by_another_plan(self, world: Any) -> None:
        deployment = world.make_live()
        world.stop(deployment)
        world.reconcile(deployment)
        world.apply(world.approve())
        world.reconcile(deployment)
        assert deployment.state == "live"
        assert LedgerEntry.objects.count() == 4


class TestSpendLimit:
    """A deployment with a spend limit..."""

    def spend(self, world: Any, deployment: Deployment, limit_usd: str, hours: float) -> None:
        Deployment.objects.filter(pk=deployment.pk).update(spend_limit_usd=Decimal(limit_usd))
        world.clock.sleep(hours * 3600)

    def test_tells_once_at_four_fifths(self, world: Any) -> None:
        deployment = world.make_live()
        self.spend(world, deployment, "0.40", 8.0)  # 8 h at 0.04 USD/h
        for _ in range(2):
            world.reconcile(deployment)
        events = Event.objects.filter(topic="deployment:chat", kind="spend")
        assert [row.payload["limit_usd"] for row in events] == ["0.4000"]
        assert deployment.state == "live"

    def test_is_scaled_down_from_the_plans_end_one_machine_at_a_time(self, world: Any) -> None:
        deployment = world.make_live()
        self.spend(world, deployment, "0.40", 10.0)
        world.reconcile(deployment, watch_s=0.0)
        states = {one.plan_machine_id: one.state for one in world.list_held(deployment)}
        assert states == {"m1": "ready", "m2": "releasing"}
        assert (deployment.state, deployment.state_reason) == ("degraded", "the spend limit of 0.4 USD is reached")
        world.reconcile(deployment)
        assert world.list_held(deployment) == []
        assert deployment.state == "failed"

    def test_rents_nothing_more(self, world: Any) -> None:
        deployment = world.make_live()
        self.spend(world, deployment, "0.40", 10.0)
        world.reconcile(deployment)
        num_starts = len(world.cloud.starts)
        world.reconcile(deployment)
        assert len(world.cloud.starts) == num_starts == 2
        assert world.list_held(deployment) == []

    def test_is_made_again_when_the_limit_is_raised(self, world: Any) -> None:
        deployment = world.make_live()
        self.spend(world, deployment, "0.40", 10.0)
        world.reconcile(deployment)
        Deployment.objects.filter(pk=deployment.pk).update(spend_limit_usd=Decimal("4"))
        world.reconcile(deployment)
        assert deployment.state == "live"


class TestRefusal:
    """A plan that is refused on its way..."""

    def test_fails_with_its_deployment_and_keeps_no_reservation(self, world: Any) -> None:
        deployment = world.start()
        world.cloud.name = "elsewhere"  # the credentials are gone
        world.reconcile(deployment)
        assert (deployment.state, get_plan_state(deployment)) == ("failed", "failed")
        assert deployment.state_reason == "no credentials for provider local"
        assert world.list_held(deployment) == []
        assert {machine.state for machine in Machine.objects.all()} == {MachineState.FAILED}
        assert not LedgerEntry.objects.exists()


class TestLease:
    """The lease..."""

    def test_lets_one_work_at_a_time(self, world: Any) -> None:
        deployment = world.start()
        token = lease.acquire(deployment.pk, now=world.clock())
        assert token is not None
        assert world.reconcile(deployment).is_busy
        assert world.cloud.calls == []
        lease.release(deployment.pk, token)
        assert not world.reconcile(deployment).is_busy

    def test_stops_whoever_has_lost_it(self, world: Any) -> None:
        deployment = world.start()
        original = world.cloud.rent

        def rent_and_lose(order: Any) -> Any:
            lease.seize(deployment.pk, now=world.clock())
            return original(order)

        world.cloud.rent = rent_and_lose
        assert world.reconcile(deployment).is_busy
        assert len(world.cloud.starts) == 1
        assert deployment.state == DeploymentState.APPLYING
