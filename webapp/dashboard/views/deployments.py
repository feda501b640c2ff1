"""Deployments: the list, one with its live charts, and what can be done to it."""

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from engine.errors import EngineError, InvalidInputError
from webapp.core.numbers import find_number
from webapp.core.permissions import CORE_ADMIN, DEPLOYMENTS_OPERATE, DEPLOYMENTS_VIEW
from webapp.dashboard import deployment_page
from webapp.dashboard.forms import NameForm, SpendLimitForm
from webapp.dashboard.pages import get_actor, get_live_position, page, render_page, run_action
from webapp.deployments import selectors, services
from webapp.telemetry import selectors as telemetry_selectors

_DEFAULT_WINDOW_S: Final = 300
_MAX_WINDOW_S: Final = 6 * 3600
_LOG_LINES: Final = 400


@page(DEPLOYMENTS_VIEW)
def list_deployments(request: HttpRequest) -> HttpResponse:
    """Show every deployment, also stopped ones."""
    position = get_live_position()
    context = {"deployments": selectors.list_deployments(), "live_after": position}
    return render_page(request, "deployments/deployments.html", context, section="deployments")


@page(DEPLOYMENTS_VIEW)
def show_deployment(request: HttpRequest, name: str) -> HttpResponse:
    """Show one deployment with its live charts."""
    return _render(request, name)


def _render(
    request: HttpRequest,
    name: str,
    *,
    key_form: NameForm | None = None,
    limit_form: SpendLimitForm | None = None,
    plaintext: str = "",
    status: int = 200,
) -> HttpResponse:
    position = get_live_position()
    now = timezone.now()
    view = selectors.get_deployment_view(name=name, now=now)
    context = {
        "view": view,
        "page": deployment_page.build_page(view),
        "latest": telemetry_selectors.get_latest(deployment_name=name, now=now),
        "key_form": key_form or NameForm(),
        "limit_form": limit_form or SpendLimitForm(initial={"spend_limit_usd": view.ledger.spend_limit_usd}),
        "plaintext": plaintext,
        "live_after": position,
    }
    response = render_page(request, "deployments/deployment.html", context, section="deployments", status=status)
    if plaintext:
        response.headers["Cache-Control"] = "no-store"  # the key is shown once
    return response


@page(DEPLOYMENTS_VIEW)
def get_series(request: HttpRequest, name: str) -> HttpResponse:
    """Give the columns that the charts draw."""
    window_s = _read_window(request.GET.get("window_s", ""))
    return JsonResponse(telemetry_selectors.build_series(deployment_name=name, window_s=window_s, now=timezone.now()))


def _read_window(text: str) -> float:
    window_s = find_number(text) or 0
    return float(window_s if 0 < window_s <= _MAX_WINDOW_S else _DEFAULT_WINDOW_S)


@page(DEPLOYMENTS_VIEW)
def show_log(request: HttpRequest, name: str, shard_id: str) -> HttpResponse:
    """Show the latest lines of one shard."""
    lines: list[str] = []
    problem = ""
    try:
        lines = selectors.read_shard_log(name=name, shard_id=shard_id, tail=_LOG_LINES)
    except EngineError as error:
        if error.code == "not_found":
            raise
        problem = error.message
    context = {"name": name, "shard_id": shard_id, "lines": lines, "problem": problem, "num_lines": _LOG_LINES}
    return render_page(request, "deployments/log.html", context, section="deployments")


@require_POST
@page(DEPLOYMENTS_OPERATE)
def stop_deployment(request: HttpRequest, name: str) -> HttpResponse:
    """Stop a deployment and release everything of it."""
    actor = get_actor(request)
    return run_action(
        request,
        lambda: services.stop_deployment(actor=actor, name=name, now=timezone.now()),
        done=f"{name} is being stopped; its machines are released.",
        back=reverse("dashboard:deployment", args=[name]),
    )


@require_POST
@page(DEPLOYMENTS_OPERATE)
def switch_traffic(request: HttpRequest, name: str) -> HttpResponse:
    """Switch the background traffic on or off."""
    actor, is_on = get_actor(request), request.POST.get("is_on") == "1"
    return run_action(
        request,
        lambda: services.set_background_traffic(actor=actor, name=name, is_on=is_on, now=timezone.now()),
        done=f"Background traffic is {'on' if is_on else 'off'}.",
        back=reverse("dashboard:deployment", args=[name]),
    )


@require_POST
@page(CORE_ADMIN)
def set_spend_limit(request: HttpRequest, name: str) -> HttpResponse:
    """Set what a deployment may spend in all, or lift the limit."""
    form = SpendLimitForm(request.POST)
    if form.is_valid():
        limit_usd = form.cleaned_data["spend_limit_usd"]
        try:
            services.set_spend_limit(actor=get_actor(request), name=name, spend_limit_usd=limit_usd, now=timezone.now())
        except InvalidInputError as error:
            form.add_refusal(error)
        else:
            messages.success(request, "The spend limit is lifted." if limit_usd is None else "The spend limit is set.")
            return redirect("dashboard:deployment", name)
    return _render(request, name, limit_form=form, status=422)


@require_POST
@page(DEPLOYMENTS_OPERATE)
def create_key(request: HttpRequest, name: str) -> HttpResponse:
    """Make a key of the deployment and show it once."""
    form = NameForm(request.POST)
    if not form.is_valid():
        return _render(request, name, key_form=form, status=422)
    _, plaintext = services.create_gateway_key(
        actor=get_actor(request), deployment_name=name, key_name=form.cleaned_data["name"], now=timezone.now()
    )
    return _render(request, name, plaintext=plaintext)


@require_POST
@page(DEPLOYMENTS_OPERATE)
def revoke_key(request: HttpRequest, name: str, key_id: int) -> HttpResponse:
    """Revoke a key."""
    actor = get_actor(request)
    return run_action(
        request,
        lambda: services.revoke_gateway_key(actor=actor, deployment_name=name, key_id=key_id, now=timezone.now()),
        done="The key is revoked; the gateway refuses it within a second.",
        back=reverse("dashboard:deployment", args=[name]),
    )
