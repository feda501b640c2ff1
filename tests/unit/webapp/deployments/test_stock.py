"""One stock for every deployment."""

from decimal import Decimal
from typing import Any

import pytest

from webapp.approvals import services as approval_services
from webapp.deployments import stock
from webapp.deployments.models import Deployment, MachineState
from webapp.planning import services as plan_services
from webapp.planning import solving
from webapp.planning.models import PlanRequest, PlanState

SLOT = "local:this-host:cpu-slot:on_demand"
BUDGET = Decimal(1)


class TestCountTaken:
    """`count_taken`..."""

    def test_counts_what_others_hold(self, world: Any) -> None:
        world.make_live(world.make_local_plan(3), name="a", budget_usd_per_hour=BUDGET)
        world.make_live(world.make_local_plan(2), name="b", budget_usd_per_hour=BUDGET)
        taken = {name: stock.count_taken(deployment_name=name) for name in ("a", "b", "c")}
        assert taken == {"a": {SLOT: 2}, "b": {SLOT: 3}, "c": {SLOT: 5}}

    def test_counts_a_plan_whose_machines_are_not_reserved_yet(self, world: Any) -> None:
        world.start(world.make_local_plan(3), name="a", budget_usd_per_hour=BUDGET)
        assert stock.count_taken(deployment_name="b") == {SLOT: 3}

    def test_counts_machines_that_no_plan_wants_any_more_until_they_are_released(self, world: Any) -> None:
        deployment = world.make_live(world.make_local_plan(3), name="a", budget_usd_per_hour=BUDGET)
        world.stop(deployment)
        assert stock.count_taken(deployment_name="b") == {SLOT: 3}
        world.reconcile(deployment)
        assert {machine.state for machine in deployment.machines.all()} == {MachineState.RELEASED}
        assert stock.count_taken(deployment_name="b") == {}


class TestApplyPlan:
    """`apply_plan`, with another deployment on the same slots..."""

    def test_makes_a_plan_stale_that_needs_more_than_is_left(self, world: Any) -> None:
        world.make_live(world.make_local_plan(5), name="a", budget_usd_per_hour=BUDGET)
        request = world.approve(world.make_local_plan(5), name="b", budget_usd_per_hour=BUDGET)
        with pytest.raises(plan_services.StalePlanError, match="has 3 left, the plan needs 5"):
            world.apply(request)
        request.refresh_from_db()
        assert (request.state, Deployment.objects.count()) == (PlanState.STALE, 1)

    def test_applies_what_fits_beside_it(self, world: Any) -> None:
        world.make_live(world.make_local_plan(5), name="a", budget_usd_per_hour=BUDGET)
        other = world.make_live(world.make_local_plan(3), name="b", budget_usd_per_hour=BUDGET)
        assert len(world.list_held(other)) == 3

    def test_lets_a_deployment_use_its_own_machines_again(self, world: Any) -> None:
        world.make_live(world.make_local_plan(5), name="a", budget_usd_per_hour=BUDGET)
        deployment = world.make_live(world.make_local_plan(8), name="a", budget_usd_per_hour=BUDGET)
        assert len(world.list_held(deployment)) == 8

    def test_looks_again_under_the_lock(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        world.make_live(world.make_local_plan(5), name="a", budget_usd_per_hour=BUDGET)
        request = world.approve(world.make_local_plan(5), name="b", budget_usd_per_hour=BUDGET)
        monkeypatch.setattr(plan_services, "check_fresh", lambda **_given: None)  # as before "a" was applied
        with pytest.raises(plan_services.StalePlanError, match="has 3 left, the plan needs 5"):
            world.apply(request)
        request.refresh_from_db()
        assert (request.state, Deployment.objects.count()) == (PlanState.APPROVED, 1)


class TestApprove:
    """`approve`, with another deployment on the same slots..."""

    def test_refuses_a_plan_that_needs_more_than_is_left(self, world: Any, approver: Any) -> None:
        world.make_live(world.make_local_plan(5), name="a", budget_usd_per_hour=BUDGET)
        request = world.approve(world.make_local_plan(5), name="b", budget_usd_per_hour=BUDGET)
        PlanRequest.objects.filter(pk=request.pk).update(state=PlanState.AWAITING_APPROVAL)
        with pytest.raises(plan_services.StalePlanError, match="has 3 left, the plan needs 5"):
            approval_services.approve(
                actor=approver, plan_request_id=request.pk, now=world.clock(), count_taken=stock.count_taken
            )
        request.refresh_from_db()
        assert request.state == PlanState.STALE


class TestLoadSolve:
    """`load_solve`, with another deployment on the same slots..."""

    @pytest.mark.parametrize(("name", "expected"), [("b", 3), ("a", 8)])
    def test_offers_what_others_leave(self, world: Any, name: str, expected: int) -> None:
        world.make_live(world.make_local_plan(5), name="a", budget_usd_per_hour=BUDGET)
        request = world.make_plan_request(PlanState.SOLVING, deployment_name=name, model_slug="demo")
        job = solving.load_solve(
            plan_request_id=request.pk,
            solve_token=request.solve_token,
            now=world.clock(),
            count_taken=stock.count_taken,
        )
        assert {offer.id: offer.available_count for offer in job.request.offers} == {SLOT: expected}
