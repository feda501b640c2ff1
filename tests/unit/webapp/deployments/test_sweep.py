"""The regular round, and machines that nobody wants."""

import subprocess
from typing import Any
from uuid import uuid4

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from pytest_django import DjangoCaptureOnCommitCallbacks

from engine.clouds.port import AgentBootstrap, RentOrder
from webapp.core import queue
from webapp.core.errors import QueueUnavailableError
from webapp.core.models import AuditEntry, Event
from webapp.deployments import sweep
from webapp.deployments.models import Deployment

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tasks that were queued."""
    names: list[str] = []
    monkeypatch.setattr(queue, "_send_now", lambda name, _queue, _kwargs: names.append(name))
    return names


def run(world: Any) -> int:
    return sweep.reconcile_all(access=world.cloud.build_access(), clock=world.clock, sleep=world.clock.sleep)


def define_order() -> RentOrder:
    agent = AgentBootstrap(token="t", cert_pem="c", key_pem="k")
    return RentOrder(machine_token=str(uuid4()), deployment_name="chat", offer_id="o", agent=agent)


class TestReconcileAll:
    def test_applies_what_nobody_applied(self, world: Any, sent: list[str]) -> None:
        world.approve()
        assert run(world) == 1
        assert Deployment.objects.get().state == "applying"
        assert len(world.cloud.starts) == 2

    def test_queues_a_closer_watch_while_something_is_on_its_way(
        self,
        world: Any,
        sent: list[str],
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        deployment = world.start()
        with django_capture_on_commit_callbacks(execute=True):
            run(world)
        assert sent == ["deployments.reconcile"]
        world.reconcile(deployment)
        with django_capture_on_commit_callbacks(execute=True):
            run(world)
        assert sent == ["deployments.reconcile"]

    def test_goes_on_when_the_broker_is_away(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise QueueUnavailableError("away")

        world.start()
        world.start(name="other")
        monkeypatch.setattr(queue, "send_task", refuse)
        assert run(world) == 2
        assert len(world.cloud.starts) == 4

    def test_goes_on_when_one_plan_cannot_be_applied(self, world: Any, sent: list[str]) -> None:
        broken = world.approve(name="broken")
        plan = broken.plan
        plan.offers = {key: value | {"usd_per_hour": "1"} for key, value in plan.offers.items()}
        plan.save()
        world.approve()
        run(world)
        assert [row.name for row in Deployment.objects.all()] == ["chat"]

    def test_goes_on_when_something_unforeseen_happens(
        self, world: Any, sent: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.approve(name="first")
        world.approve(name="second")
        orphan = define_order()
        world.cloud.rent(orphan)
        original = sweep.reconcile_deployment

        def reconcile(*, deployment_id: int, **rest: Any) -> Any:
            if Deployment.objects.get(pk=deployment_id).name == "first":
                raise subprocess.TimeoutExpired("agent", 60)
            return original(deployment_id=deployment_id, **rest)

        monkeypatch.setattr(sweep, "reconcile_deployment", reconcile)
        assert run(world) == 2
        second = Deployment.objects.get(name="second")
        assert [machine.state for machine in world.list_held(second)] == ["ready", "ready"]
        assert orphan.machine_token not in world.cloud.machines
        assert "TimeoutExpired" in caplog.text

    def test_goes_on_when_a_plan_meets_something_unforeseen(
        self, world: Any, sent: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = world.approve(name="first")
        world.approve(name="second")
        original = sweep.apply_plan

        def apply(*, plan_request_id: int, **rest: Any) -> Any:
            if plan_request_id == first.pk:
                raise KeyError("machines")
            return original(plan_request_id=plan_request_id, **rest)

        monkeypatch.setattr(sweep, "apply_plan", apply)
        assert run(world) == 1
        assert Deployment.objects.get().name == "second"

    def test_ends_with_its_task(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def run_out_of_time(**_: object) -> None:
            raise SoftTimeLimitExceeded

        world.start()
        monkeypatch.setattr(sweep, "reconcile_deployment", run_out_of_time)
        with pytest.raises(SoftTimeLimitExceeded):
            run(world)

    def test_leaves_stopped_and_refused_deployments_alone(self, world: Any, sent: list[str], make_plan: Any) -> None:
        deployment = world.start()
        world.stop(deployment)
        assert run(world) == 1
        assert run(world) == 0


class TestOrphans:
    def test_are_released_and_reported(self, world: Any, sent: list[str]) -> None:
        world.make_live()
        orphan = define_order()
        world.cloud.rent(orphan)
        run(world)
        assert orphan.machine_token not in world.cloud.machines
        assert len(world.cloud.machines) == 2
        entry = AuditEntry.objects.get(action="machine.release-orphan")
        assert (entry.object_id, entry.detail["deployment"]) == (orphan.machine_token, "chat")
        event = Event.objects.filter(topic="deployment:chat", kind="machine").latest("pk")
        assert event.payload == {"id": orphan.machine_token[:8], "state": "released"}

    def test_are_found_again_when_they_cannot_be_released(self, world: Any, sent: list[str]) -> None:
        world.cloud.rent(define_order())
        world.cloud.release_failure = "not now"
        run(world)
        assert len(world.cloud.machines) == 1
        assert not AuditEntry.objects.filter(action="machine.release-orphan").exists()
        world.cloud.release_failure = ""
        run(world)
        assert world.cloud.machines == {}

    def test_do_not_wait_for_one_that_cannot_be_released(
        self, world: Any, sent: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        orphans = [define_order(), define_order()]
        for order in orphans:
            world.cloud.rent(order)
        bad, good = sorted(order.machine_token for order in orphans)
        original = world.cloud.release

        def release(token: str) -> None:
            if token == bad:
                raise subprocess.TimeoutExpired("agent", 60)
            original(token)

        monkeypatch.setattr(world.cloud, "release", release)
        run(world)
        assert list(world.cloud.machines) == [bad]
        assert AuditEntry.objects.get(action="machine.release-orphan").object_id == good

    def test_are_what_remains_of_a_row_that_is_over(self, world: Any, sent: list[str]) -> None:
        deployment = world.make_live()
        machine = world.list_held(deployment)[0]
        order = world.cloud.machines[str(machine.token)].order
        world.stop(deployment)
        world.reconcile(deployment)
        world.cloud.rent(order)
        run(world)
        assert world.cloud.machines == {}
