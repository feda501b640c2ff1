"""Plans: the list, asking for one, and everything about one."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from engine.errors import InvalidInputError, UnavailableError
from webapp.approvals import selectors as approval_selectors
from webapp.core.numbers import find_number
from webapp.core.permissions import PLANNING_CREATE, PLANNING_VIEW
from webapp.dashboard import plan_page, timeline
from webapp.dashboard.pages import get_actor, get_live_position, page, render_page, run_action, tell_unavailable
from webapp.dashboard.plan_form import PlanForm, define_initial
from webapp.deployments import selectors as deployment_selectors
from webapp.market import selectors as market_selectors
from webapp.planning import selectors, services
from webapp.planning.models import PlanRequest, PlanState


@page(PLANNING_VIEW)
def list_plans(request: HttpRequest) -> HttpResponse:
    """Show plan requests, newest first, of one state or deployment if the address says so."""
    position = get_live_position()
    state = request.GET.get("state", "")
    deployment_name = request.GET.get("deployment", "")
    states = (PlanState(state),) if state in set(PlanState) else ()
    context = {
        "requests": selectors.list_plan_requests(states=states, deployment_name=deployment_name),
        "states": PlanState.choices,
        "state": state,
        "deployment_name": deployment_name,
        "live_after": position,
    }
    return render_page(request, "planning/plans.html", context, section="plans")


@page(PLANNING_CREATE)
def request_plan(request: HttpRequest) -> HttpResponse:
    """Ask for a plan; `?from=` begins with what another request asked for."""
    if request.method != "POST":
        return _render_form(request, _make_form(initial=_read_initial(request)))
    form = _make_form(request.POST)
    if not form.is_valid():
        return _render_form(request, form, status=422)
    now = timezone.now()
    try:
        asked = services.request_plan(actor=get_actor(request), spec=form.to_spec(), now=now)
    except InvalidInputError as error:
        form.add_refusal(error)
        return _render_form(request, form, status=422)
    except UnavailableError as error:
        tell_unavailable(request, error)
        return redirect("dashboard:plans")
    return redirect("dashboard:plan", pk=asked.pk)


def _make_form(data: object = None, *, initial: object = None) -> PlanForm:
    return PlanForm(
        data,
        initial=initial,
        models=selectors.list_models(),
        workloads=selectors.list_workloads(),
        market=market_selectors.list_filter_choices(),
    )


def _read_initial(request: HttpRequest) -> dict[str, object]:
    pk = find_number(request.GET.get("from", ""))
    if pk is not None:
        return dict(define_initial(selectors.get_plan_request(pk=pk)))
    return {"deployment_name": request.GET.get("deployment", "")}


def _render_form(request: HttpRequest, form: PlanForm, status: int = 200) -> HttpResponse:
    return render_page(request, "planning/new.html", {"form": form}, section="plans", status=status)


@page(PLANNING_VIEW)
def show_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Show everything about one plan request."""
    position = get_live_position()
    row = selectors.get_plan_request(pk=pk)
    running = deployment_selectors.find_running_plan(row.deployment_name)
    view = selectors.get_plan_view(pk=pk, running_plan=running)
    actor = get_actor(request)
    context = {
        "view": view,
        "plan": view.plan,
        "page": plan_page.build_page(view),
        "has_running_plan": running is not None,
        "decision": approval_selectors.find_decision(plan_request_id=pk),
        "obstacle": approval_selectors.find_obstacle(actor=actor, plan_request_id=pk),
        "timeline": timeline.list_timeline(plan_request_id=pk),
        "deployment_exists": _has_deployment(row),
        "what_if": _make_form(initial=dict(define_initial(row))),
        "live_after": position,
    }
    return render_page(request, "planning/plan.html", context, section="plans")


def _has_deployment(row: PlanRequest) -> bool:
    return any(item.name == row.deployment_name for item in deployment_selectors.list_deployments())


@require_POST
@page(PLANNING_CREATE)
def solve_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Solve a request once more, with the market as it is now."""
    actor = get_actor(request)
    return run_action(
        request,
        lambda: services.start_solve(actor=actor, plan_request_id=pk, now=timezone.now()),
        done="Solving with the market as it is now.",
        back=reverse("dashboard:plan", args=[pk]),
    )


@page(PLANNING_VIEW)
def export_instance(request: HttpRequest, pk: int) -> HttpResponse:  # noqa: ARG001  # every view has it
    """Give the instance file of a plan, as `medley solve` reads it."""
    response = JsonResponse(selectors.get_instance(pk=pk), json_dumps_params={"indent": 2})
    response.headers["Content-Disposition"] = f'attachment; filename="plan-{pk}-instance.json"'
    return response
