"""Pages for what went wrong outside a view; they need no session and no database."""

from typing import Final

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import render

from webapp.core.http import make_error_body
from webapp.dashboard.pages import harden

_API_PREFIX: Final = "/api/"


def show_bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    """Answer a request that cannot be read."""
    if isinstance(exception, RequestDataTooBig):
        largest_mib = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) // 2**20
        remedy = f"Send at most {largest_mib} MiB, such as a shorter part of a trace."
        return _show(request, 400, "body_too_large", "This body is too large", remedy, field="body")
    if isinstance(exception, DisallowedHost):
        remedy = "Use the console's own address, or name this host in MEDLEY_ALLOWED_HOSTS."
        return _show(
            request, 400, "unknown_host", "The console does not answer to this host name", remedy, field="Host"
        )
    return _show(request, 400, "bad_request", "This request cannot be read", "Go back, and try it from the page again.")


def show_forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:  # noqa: ARG001
    """Answer what Django itself refuses."""
    return _show(request, 403, "forbidden", "This is not allowed", "Your role does not include it; an admin can help.")


def show_csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:  # noqa: ARG001  # Django calls it so
    """Answer a form whose token is missing or old, as after signing in elsewhere."""
    message = "The form did not carry this session's token. Reload the page it stands on, and send it again."
    return _show(request, 403, "csrf_failed", "This form is too old", message)


def show_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:  # noqa: ARG001
    """Answer an address that does not exist."""
    return _show(
        request, 404, "not_found", "There is nothing here", "The address may be mistyped, or what it named is gone."
    )


def show_server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer when the console itself failed."""
    message = "The console failed to answer. What happened stands in its log."
    return _show(request, 500, "internal_error", "Something broke", message)


def _show(
    request: HttpRequest, status: int, code: str, heading: str, message: str, *, field: str | None = None
) -> HttpResponseBase:
    if request.path.startswith(_API_PREFIX):
        return JsonResponse(make_error_body(code=code, message=heading, field=field, remedy=message), status=status)
    context = {"heading": heading, "message": message}
    return harden(render(request, "dashboard/error_alone.html", context, status=status))
