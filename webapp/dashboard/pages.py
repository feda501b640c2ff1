"""What every page shares: who may see it, how refusals look, and the head that allows no foreign request."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from engine.errors import EngineError, InvalidInputError, UnavailableError
from webapp.core import http
from webapp.core.models import User
from webapp.core.permissions import (
    APPROVALS_DECIDE,
    CORE_ADMIN,
    DEPLOYMENTS_OPERATE,
    MARKET_MANAGE,
    PLANNING_CREATE,
    list_permissions,
    require,
)
from webapp.core.relay import get_position

View = Callable[..., HttpResponseBase]

# Scripts and connections only from here. Styles may stand in attributes: plotly.js draws with them.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What the person who looks may do; templates show only what works."""

    can_import_offers: bool
    can_plan: bool
    can_decide: bool
    can_operate: bool
    can_administrate: bool
    has_admin_site: bool


def page(permission: str | None) -> Callable[[View], View]:
    """Guard a view: sign-in, then `permission`; what a service refuses becomes a page that says so.

    Args:
        permission: what the person needs; None where signing in is enough (the own account).
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            if not isinstance(request.user, User):
                return harden(_ask_to_sign_in(request))
            try:
                if permission is not None:
                    require(request.user, permission)
                response = view(request, *args, **kwargs)
            except EngineError as error:
                response = render_error(request, error)
            return harden(response)

        return guarded

    return decorate


def harden(response: HttpResponseBase) -> HttpResponseBase:
    """Forbid foreign requests, and keep pages out of shared caches."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def get_actor(request: HttpRequest) -> User:
    """Return who asks; `page` has made sure that somebody is signed in."""
    if not isinstance(request.user, User):
        raise TypeError("this view is not behind `page`")
    return request.user


def render_page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, object] | None = None,
    *,
    section: str = "",
    status: int = 200,
) -> HttpResponse:
    """Return a page with the frame around it.

    Args:
        section: entry of the navigation that is marked.
    """
    frame = {"section": section, "can": _list_abilities(request)}
    return render(request, f"dashboard/{template}", {**frame, **(context or {})}, status=status)


def render_error(request: HttpRequest, error: EngineError) -> HttpResponse:
    """Return the page that says what was refused and what helps."""
    remedy = error.remedy if isinstance(error, InvalidInputError) else ""
    status = http.get_error_status(error)
    context = {"status": status, "message": error.message, "remedy": remedy}
    return render_page(request, "error.html", context, status=status)


def get_live_position() -> int:
    """Return the bookmark for live updates; take it before reading what the page shows."""
    return get_position()


def run_action(request: HttpRequest, action: Callable[[], object], *, done: str, back: str) -> HttpResponse:
    """Make one service call, tell how it went, and go back.

    Args:
        done: sentence when it worked.
        back: address or name of the page to return to.
    """
    try:
        action()
    except UnavailableError as error:
        tell_unavailable(request, error)
    except EngineError as error:
        messages.error(request, _make_sentence(error))
    else:
        messages.success(request, done)
    return redirect(back)


def tell_unavailable(request: HttpRequest, error: UnavailableError) -> None:
    """Tell what did not answer; the change itself may be stored already."""
    messages.warning(request, _make_sentence(error))


def describe_refusal(error: InvalidInputError) -> str:
    """Return what stands beside the field: the message without the field's name, and the remedy."""
    message = error.message.removeprefix(f"{error.field}: ")
    return f"{message[:1].upper()}{message[1:]}: {error.remedy}."


def _make_sentence(error: EngineError) -> str:
    text = f"{error.message[:1].upper()}{error.message[1:]}"
    if isinstance(error, InvalidInputError) and error.remedy:
        text = f"{text}; {error.remedy}"
    return text if text.endswith(".") else f"{text}."


def _ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    target = redirect_to_login(request.get_full_path())
    if request.headers.get("HX-Request") != "true":
        return target
    response = HttpResponse(status=204)  # a fragment cannot hold the sign-in page: the browser goes there
    response.headers["HX-Redirect"] = redirect_to_login(request.headers.get("HX-Current-URL", "/")).url
    return response


def _list_abilities(request: HttpRequest) -> Abilities:
    user = request.user
    held = list_permissions(user)
    return Abilities(
        can_import_offers=MARKET_MANAGE in held,
        can_plan=PLANNING_CREATE in held,
        can_decide=APPROVALS_DECIDE in held,
        can_operate=DEPLOYMENTS_OPERATE in held,
        can_administrate=CORE_ADMIN in held,
        has_admin_site=bool(held) and user.is_staff,
    )
