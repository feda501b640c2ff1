"""From an engine error to an HTTP answer: the only place that knows status codes."""

from typing import Final, TypedDict

from django.http import JsonResponse

from engine.errors import EngineError, InvalidInputError, RefusedError, UnavailableError
from webapp.core.errors import ForbiddenError, NotFoundError

# The first class that fits decides, so leaves stand before their bases.
_STATUS_BY_ERROR: Final[tuple[tuple[type[EngineError], int], ...]] = (
    (NotFoundError, 404),
    (ForbiddenError, 403),
    (InvalidInputError, 422),
    (RefusedError, 409),
    (UnavailableError, 503),
    (EngineError, 500),
)


class ErrorDetail(TypedDict):
    """What a caller learns about an error."""

    code: str
    message: str
    field: str | None
    remedy: str | None


class ErrorBody(TypedDict):
    """JSON body of every refused or failed call."""

    error: ErrorDetail


def make_error_body(*, code: str, message: str, field: str | None = None, remedy: str | None = None) -> ErrorBody:
    """Return the JSON body that every failing answer of the console has."""
    return {"error": {"code": code, "message": message, "field": field, "remedy": remedy}}


def get_error_status(error: EngineError) -> int:
    """Return the HTTP status that says how to recover from `error`."""
    return next(status for cls, status in _STATUS_BY_ERROR if isinstance(error, cls))


def error_to_body(error: EngineError) -> ErrorBody:
    """Return the JSON body of an engine error."""
    field = error.field if isinstance(error, InvalidInputError) else None
    remedy = error.remedy if isinstance(error, InvalidInputError) else None
    return make_error_body(code=error.code, message=error.message, field=field, remedy=remedy)


def error_to_response(error: EngineError) -> JsonResponse:
    """Return the HTTP answer of an engine error, for views outside the REST API."""
    return JsonResponse(error_to_body(error), status=get_error_status(error))
