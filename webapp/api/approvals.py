"""REST: policies, and decisions on plans."""

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from webapp.api.auth import get_actor
from webapp.api.schemas_approvals import DecisionIn, PolicyOut
from webapp.api.schemas_planning import DecisionOut
from webapp.approvals import selectors, services
from webapp.approvals.models import Policy
from webapp.core.permissions import APPROVALS_DECIDE, APPROVALS_VIEW, require
from webapp.deployments.stock import count_taken

router = Router(tags=["approvals"])


@router.get("/policies", response=list[PolicyOut])
def list_policies(request: HttpRequest) -> list[Policy]:
    """List the policies in the order in which they are checked."""
    require(get_actor(request), APPROVALS_VIEW)
    return selectors.list_policies()


@router.post("/plan-requests/{int:plan_request_id}/approve", response=DecisionOut)
def approve(request: HttpRequest, plan_request_id: int, body: DecisionIn) -> selectors.DecisionView:
    """Approve a plan of somebody else; it is applied at once."""
    actor = get_actor(request)
    require(actor, APPROVALS_DECIDE)
    decision = services.approve(
        actor=actor,
        plan_request_id=plan_request_id,
        comment=body.comment,
        plan_id=body.plan_id,
        now=timezone.now(),
        count_taken=count_taken,
    )
    return selectors.row_to_view(decision)


@router.post("/plan-requests/{int:plan_request_id}/reject", response=DecisionOut)
def reject(request: HttpRequest, plan_request_id: int, body: DecisionIn) -> selectors.DecisionView:
    """Reject a plan of somebody else; it can be solved again."""
    actor = get_actor(request)
    require(actor, APPROVALS_DECIDE)
    decision = services.reject(
        actor=actor, plan_request_id=plan_request_id, comment=body.comment, plan_id=body.plan_id, now=timezone.now()
    )
    return selectors.row_to_view(decision)
