"""REST v1: authentication, error answers and the routers."""

from typing import Final

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from engine.errors import EngineError
from webapp.api import approvals, deployments, gateway, market, planning, telemetry
from webapp.api.auth import SessionAuth, TokenAuth
from webapp.core import http

_UNREADABLE: Final = 400  # the framework's status of a body that is no JSON

api = NinjaAPI(
    title="Medley",
    version="1",
    description="Plan, approve and watch language models on the cheapest mix of cloud GPUs.",
    urls_namespace="api",
    auth=[TokenAuth(), SessionAuth()],
    docs_decorator=login_required,
)


@api.exception_handler(EngineError)
def answer_engine_error(request: HttpRequest, error: EngineError) -> HttpResponse:
    """Answer what the engine or a service refused."""
    return api.create_response(request, http.error_to_body(error), status=http.get_error_status(error))


@api.exception_handler(ValidationError)
def answer_invalid_input(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Answer input that does not fit the schema, naming the first field."""
    first = error.errors[0]
    field = _name_field([str(part) for part in first["loc"]])
    body = http.make_error_body(
        code="invalid_input", message=f"{field}: {first['msg']}", field=field, remedy="see /api/v1/docs for the schema"
    )
    return api.create_response(request, body, status=422)


def _name_field(location: list[str]) -> str:
    """Return the name a caller knows: without where it stands, and without the parameter that takes a body."""
    num_hidden = 2 if location[0] == "body" else 1
    return ".".join(location[num_hidden:]) or location[0]


@api.exception_handler(AuthenticationError)
def answer_stranger(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    """Answer a call without a valid token or session."""
    body = http.make_error_body(code="unauthenticated", message="sign in, or send `Authorization: Bearer <API token>`")
    return api.create_response(request, body, status=401)


@api.exception_handler(HttpError)
def answer_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer errors of the framework, such as a failed CSRF check or a body that is not JSON."""
    code = {400: "bad_request", 403: "forbidden", 404: "not_found"}.get(error.status_code, "http_error")
    field, remedy = ("body", "send one JSON object in UTF-8") if error.status_code == _UNREADABLE else (None, None)
    body = http.make_error_body(code=code, message=error.message, field=field, remedy=remedy)
    return api.create_response(request, body, status=error.status_code)


@api.exception_handler(Http404)
def answer_missing(request: HttpRequest, _error: Http404) -> HttpResponse:
    """Answer an address or an object that does not exist."""
    return api.create_response(request, http.make_error_body(code="not_found", message="not found"), status=404)


for _module in (market, planning, approvals, deployments, gateway, telemetry):
    api.add_router("", _module.router)
