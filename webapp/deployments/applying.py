"""Handing an approved plan to its deployment: checks that need no machine, then one transaction that takes over."""

import logging
from datetime import datetime
from typing import Final

from django.db import transaction

from engine.domain.plan import Plan
from engine.errors import RefusedError
from engine.market.local import PROVIDER as LOCAL_PROVIDER
from webapp.core import queue
from webapp.core.errors import ConflictError
from webapp.deployments import desired, recording, standing, states, stock, transitions, wanting
from webapp.deployments.access import REAL_ACCESS, Access
from webapp.deployments.desired import UnusablePlanError
from webapp.deployments.matching import HeldMachine, match_machines
from webapp.deployments.models import Deployment, DeploymentState, Machine, MachineState
from webapp.planning import selectors as plan_selectors
from webapp.planning import services as plan_services
from webapp.planning.models import PlanRequest, PlanState

_LOG: Final = logging.getLogger(__name__)
_ANY_TOKEN: Final = "00000000-0000-0000-0000-000000000000"  # noqa: S105  # stands for a machine not yet reserved


class NotApprovedError(ConflictError):
    """Only an approved plan can be applied."""

    code = "not_approved"


def apply_plan(*, plan_request_id: int, now: datetime, access: Access = REAL_ACCESS) -> Deployment | None:
    """Hand an approved plan to its deployment, made if need be; the reconcile loop does the rest.

    A plan that was handed over before changes nothing. A plan that cannot be made real fails, and with it its
    deployment, unless another plan keeps that one running.

    Returns:
        The deployment; None when the plan failed and a running deployment stays as it is.
    Raises:
        NotFoundError: there is no such plan request.
        NotApprovedError: nobody approved it, or it has ended.
        StalePlanError: the market, or what other deployments leave of it, moved away from the plan; it is stale now,
            or will be with the next attempt.
    """
    request = plan_selectors.get_plan_request(pk=plan_request_id)
    if request.state in wanting.DECIDING:
        return Deployment.objects.filter(plan_request=request).first()
    if request.state != PlanState.APPROVED:
        raise NotApprovedError(f"plan request {plan_request_id} is {request.get_state_display().lower()}, not approved")
    plan_services.check_fresh(plan_request_id=plan_request_id, now=now, count_taken=stock.count_taken)
    try:
        plan = _check_plan(request, access)
    except RefusedError as error:
        return _fail(plan_request_id, reason=error.message, now=now)
    return _take_over(plan_request_id, plan, now)


def _check_plan(request: PlanRequest, access: Access) -> Plan:
    """Return the plan when every provider would rent to us and every shard could be told to an agent."""
    plan = plan_selectors.find_plan(request_id=request.pk)
    if plan is None or not plan.machines:
        raise UnusablePlanError(f"plan request {request.pk} has no plan with machines: solve it")
    providers = desired.list_providers(plan)
    for name in providers:
        access.find_provider(name)
    if LOCAL_PROVIDER in providers and not request.model.weights_path:
        raise UnusablePlanError(f"model {request.model.slug} has no weights on this host: choose a cloud provider")
    desired.list_desired_shards(
        plan.replicas,
        served=wanting.get_served_as(request.model),
        deployment_name=request.deployment_name,
        machine_token=_ANY_TOKEN,
    )
    return plan


@transaction.atomic
def _fail(plan_request_id: int, *, reason: str, now: datetime) -> Deployment | None:
    _LOG.warning("plan request %d cannot be applied: %s", plan_request_id, reason)
    deployment, request = _lock_both(plan_request_id, now)
    plan_services.move(plan_request_id=plan_request_id, to=PlanState.FAILED, reason=reason, now=now)
    is_running = deployment.plan_request_id != plan_request_id and wanting.is_wanted(deployment)
    if is_running or deployment.state == DeploymentState.STOPPING:
        return None
    _point_to(deployment, request, now)
    transitions.move_deployment(deployment, to=DeploymentState.FAILED, reason=reason, now=now)
    return deployment


@transaction.atomic
def _take_over(plan_request_id: int, plan: Plan, now: datetime) -> Deployment:
    deployment, request = _lock_both(plan_request_id, now)
    _check_stock(request, now)
    if deployment.plan_request_id != plan_request_id:
        standing.end_plan(deployment, to=PlanState.SUPERSEDED, reason=f"by plan request {plan_request_id}", now=now)
    _point_to(deployment, request, now)
    _rematch(deployment, plan, now)
    plan_services.move(plan_request_id=plan_request_id, to=PlanState.APPLYING, now=now)
    transitions.move_deployment(deployment, to=DeploymentState.APPLYING, now=now)
    queue.send_task("deployments.reconcile", queue="operate", deployment_id=deployment.pk)
    return deployment


def _check_stock(request: PlanRequest, now: datetime) -> None:
    """Return when the machines are still there, now that no other plan is being handed over.

    Raises:
        StalePlanError: another deployment was faster; rolled back, the next attempt moves the request.
    """
    taken = stock.count_taken(deployment_name=request.deployment_name)
    if reason := plan_services.find_stale_reason(request.plan, now=now, taken=taken):
        raise plan_services.StalePlanError(
            f"the plan no longer holds: {reason}", plan_request_id=request.pk, reason=reason
        )


def _lock_both(plan_request_id: int, now: datetime) -> tuple[Deployment, PlanRequest]:
    """Return deployment and plan request, locked in the order in which the reconcile loop locks them.

    Raises:
        NotApprovedError: someone handed the plan over, or took it back, in the meantime.
    """
    deployment = _lock_or_create(plan_selectors.get_plan_request(pk=plan_request_id), now)
    _wait_for_other_plans()
    request = plan_services.lock_plan_request(plan_request_id)
    if request.state != PlanState.APPROVED:
        raise NotApprovedError(f"plan request {plan_request_id} was {request.get_state_display().lower()} meanwhile")
    return deployment, request


def _wait_for_other_plans() -> None:
    """Lock whatever can be handed over, in one order: of two plans at once, the second one sees the first one's."""
    approved = PlanRequest.objects.select_for_update().filter(state=PlanState.APPROVED)
    list(approved.order_by("pk").values_list("pk", flat=True))


def _lock_or_create(request: PlanRequest, now: datetime) -> Deployment:
    deployment, _ = Deployment.objects.get_or_create(
        name=request.deployment_name,
        defaults={
            "state": DeploymentState.APPLYING,
            "plan_request": request,
            "budget_usd_per_hour": request.budget_usd_per_hour,
            "created_at": now,
            "updated_at": now,
        },
    )
    return transitions.lock_deployment(deployment.pk)


def _point_to(deployment: Deployment, request: PlanRequest, now: datetime) -> None:
    deployment.plan_request = request
    deployment.budget_usd_per_hour = request.budget_usd_per_hour
    deployment.price_refused_at, deployment.updated_at = None, now
    deployment.save(update_fields=["plan_request", "budget_usd_per_hour", "price_refused_at", "updated_at"])


def _rematch(deployment: Deployment, plan: Plan, now: datetime) -> None:
    """Give every machine that is held its place in the new plan, or none."""
    rows = Machine.objects.select_for_update(of=("self",)).select_related("deployment")
    held = list(rows.filter(deployment=deployment, state__in=states.HELD).order_by("pk"))
    candidates = [machine for machine in held if machine.state != MachineState.RELEASING]
    places = match_machines(
        [HeldMachine(pk=one.pk, plan_machine_id=one.plan_machine_id, offer_id=one.offer_id) for one in candidates],
        plan.machines,
    )
    Machine.objects.filter(pk__in=[machine.pk for machine in held]).update(plan_machine_id="")
    for machine in candidates:
        machine.plan_machine_id = places[machine.pk]
        machine.save(update_fields=["plan_machine_id"])
        if machine.state == MachineState.RESERVED and not machine.plan_machine_id and machine.rent_started_at is None:
            recording.end_machine(machine, reason="the plan it was reserved for was replaced", now=now)
