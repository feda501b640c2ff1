"""Approvals: what waits, what was decided, the policies, and deciding."""

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from webapp.approvals import selectors, services
from webapp.core.numbers import find_number
from webapp.core.permissions import APPROVALS_DECIDE, APPROVALS_VIEW
from webapp.dashboard.pages import get_actor, get_live_position, page, render_page, run_action
from webapp.deployments.stock import count_taken
from webapp.planning import selectors as planning_selectors
from webapp.planning.models import PlanState

_MAX_COMMENT = 1000  # characters; what REST takes as well


@page(APPROVALS_VIEW)
def show_approvals(request: HttpRequest) -> HttpResponse:
    """Show the queue, past decisions and the policies."""
    position = get_live_position()
    context = {
        "awaiting": planning_selectors.list_plan_requests(states=(PlanState.AWAITING_APPROVAL,)),
        "decisions": selectors.list_decisions(),
        "policies": selectors.list_policies(),
        "live_after": position,
    }
    return render_page(request, "approvals/approvals.html", context, section="approvals")


@require_POST
@page(APPROVALS_DECIDE)
def approve_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve a plan with a comment."""
    actor, comment, plan_id = get_actor(request), _read_comment(request), _read_plan_id(request)
    return run_action(
        request,
        lambda: services.approve(
            actor=actor,
            plan_request_id=pk,
            comment=comment,
            plan_id=plan_id,
            now=timezone.now(),
            count_taken=count_taken,
        ),
        done="Approved. The plan is being applied.",
        back=reverse("dashboard:plan", args=[pk]),
    )


@require_POST
@page(APPROVALS_DECIDE)
def reject_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Reject a plan with a comment."""
    actor, comment, plan_id = get_actor(request), _read_comment(request), _read_plan_id(request)
    return run_action(
        request,
        lambda: services.reject(actor=actor, plan_request_id=pk, comment=comment, plan_id=plan_id, now=timezone.now()),
        done="Rejected. The author can change and solve it again.",
        back=reverse("dashboard:plan", args=[pk]),
    )


def _read_comment(request: HttpRequest) -> str:
    return request.POST.get("comment", "").strip()[:_MAX_COMMENT]


def _read_plan_id(request: HttpRequest) -> int | None:
    """Return the plan that the page showed: only that one is decided."""
    return find_number(request.POST.get("plan_id", ""))
