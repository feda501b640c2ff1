"""Money in the reconcile loop: machines that may exist, and prices that nobody approved."""

import subprocess
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.clouds.port import MissingCredentialsError, RentFailedError
from webapp.core.models import AuditEntry, Event
from webapp.deployments.models import Deployment, LedgerEntry, Machine

pytestmark = pytest.mark.django_db


class TestFailingToRent:
    """A machine that could not be rented..."""

    def rent_but_fail(self, world: Any, error: Exception) -> None:
        """Let the provider make the machine and fail nevertheless, once for each."""
        original = world.cloud.rent

        def rent(order: Any) -> Any:
            original(order)
            raise error

        world.cloud.rent = rent

    @pytest.mark.parametrize("error", [RentFailedError("timed out"), subprocess.TimeoutExpired("agent", 60)])
    def test_may_exist_so_its_end_releases_and_counts_it(self, world: Any, error: Exception) -> None:
        deployment = world.start()
        self.rent_but_fail(world, error)
        began_at = world.clock.now
        world.reconcile(deployment, watch_s=0.0)
        assert [(one.state, one.rent_started_at) for one in world.list_held(deployment)] == [("reserved", began_at)] * 2
        assert len(world.cloud.machines) == 2
        world.clock.sleep(60.0)
        world.stop(deployment)
        world.reconcile(deployment)
        assert (deployment.state, world.cloud.machines) == ("stopped", {})
        entries = LedgerEntry.objects.filter(machine__deployment=deployment)
        assert [(one.opened_at, one.closed_at) for one in entries] == [(began_at, world.clock.now)] * 2

    def test_is_released_too_when_its_plan_is_replaced(self, world: Any) -> None:
        deployment = world.start()
        self.rent_but_fail(world, RentFailedError("timed out"))
        world.reconcile(deployment, watch_s=0.0)
        del world.cloud.rent
        world.apply(world.approve(world.make_local_plan(1)))
        world.reconcile(deployment)
        assert deployment.state == "live"
        assert [str(one.token) for one in world.list_held(deployment)] == list(world.cloud.machines)
        assert LedgerEntry.objects.exclude(closed_at=None).count() == 1

    def test_is_nothing_when_the_only_call_was_refused(self, world: Any) -> None:
        def refuse(_: object) -> None:
            raise MissingCredentialsError("no credentials")

        deployment = world.start()
        world.cloud.rent = refuse
        world.reconcile(deployment)
        assert deployment.state == "failed"
        assert {one.rent_started_at for one in Machine.objects.all()} == {None}
        assert not LedgerEntry.objects.exists()

    def test_may_exist_when_an_earlier_call_was_not_refused(self, world: Any) -> None:
        def refuse(_: object) -> None:
            raise MissingCredentialsError("no credentials")

        deployment = world.start()
        self.rent_but_fail(world, RentFailedError("timed out"))
        world.reconcile(deployment, watch_s=0.0)
        world.cloud.rent = refuse
        world.reconcile(deployment)
        assert (deployment.state, world.cloud.machines) == ("failed", {})
        assert LedgerEntry.objects.exclude(closed_at=None).count() == 2


class TestPriceRise:
    """A machine that has become dearer than was approved..."""

    def raise_price(self, world: Any, load_offer: Any, usd_per_hour: float) -> None:
        load_offer(
            provider="local",
            region="this-host",
            instance_type="cpu-slot",
            gpu_name="cpu-slot",
            gpu_count=1,
            usd_per_hour=usd_per_hour,
            available_count=8,
            observed_at=world.clock.now,
        )
        world.clock.sleep(1.0)

    def lose_one(self, world: Any, deployment: Deployment) -> None:
        del world.cloud.machines[str(world.list_held(deployment)[0].token)]

    def test_is_not_rented_again_whatever_the_budget(self, world: Any, load_offer: Any) -> None:
        deployment = world.make_live(budget_usd_per_hour=Decimal("1000"))
        self.raise_price(world, load_offer, 20.0)
        self.lose_one(world, deployment)
        for _ in range(2):
            world.reconcile(deployment)
        assert [one.plan_machine_id for one in world.list_held(deployment)] == ["m2"]
        assert (deployment.state, deployment.state_reason) == (
            "degraded",
            "machine m1 (local:this-host:cpu-slot:on_demand) costs 20 USD/h now, above the approved 0.02 USD/h "
            "or the plan's cost: solve and approve a new plan",
        )
        audit = AuditEntry.objects.get(action="deployment.price-refused")
        assert audit.detail == {"plan_request_id": deployment.plan_request_id, "reason": deployment.state_reason}
        assert Event.objects.filter(topic="deployment:chat", kind="price").count() == 1

    def test_is_rented_when_it_has_become_cheap_enough(self, world: Any, load_offer: Any) -> None:
        deployment = world.make_live(budget_usd_per_hour=Decimal("1000"))
        self.raise_price(world, load_offer, 20.0)
        self.lose_one(world, deployment)
        world.reconcile(deployment)
        self.raise_price(world, load_offer, 0.021)
        world.reconcile(deployment)
        assert (deployment.state, deployment.price_refused_at) == ("live", None)
        assert sorted(one.usd_per_hour for one in world.list_held(deployment)) == [Decimal("0.02"), Decimal("0.021")]

    def test_is_rented_for_a_new_plan_at_the_new_price(self, world: Any, load_offer: Any) -> None:
        deployment = world.make_live(budget_usd_per_hour=Decimal("1000"))
        self.raise_price(world, load_offer, 0.03)
        self.lose_one(world, deployment)
        world.reconcile(deployment)
        plan = world.make_local_plan(2)
        machines = tuple(replace(machine, usd_per_hour=0.03) for machine in plan.machines)
        request = world.approve(
            replace(plan, machines=machines, usd_per_hour=0.06), budget_usd_per_hour=Decimal("1000")
        )
        request.plan.offers = {key: value | {"usd_per_hour": "0.03"} for key, value in request.plan.offers.items()}
        request.plan.save()
        world.apply(request)
        world.reconcile(deployment)
        assert deployment.state == "live"
        assert sorted(one.usd_per_hour for one in world.list_held(deployment)) == [Decimal("0.02"), Decimal("0.03")]

    def test_does_not_take_the_place_of_one_that_hangs(self, world: Any, load_offer: Any) -> None:
        deployment = world.make_live(budget_usd_per_hour=Decimal("1000"))
        self.raise_price(world, load_offer, 20.0)
        world.cloud.machines[str(world.list_held(deployment)[0].token)].hangs = True
        world.reconcile(deployment, watch_s=0.0)
        world.clock.sleep(300.0)
        world.reconcile(deployment)
        assert [one.plan_machine_id for one in world.list_held(deployment)] == ["m2"]
        assert "costs 20 USD/h now" in deployment.state_reason
