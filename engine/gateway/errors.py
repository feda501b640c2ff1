"""Answers in OpenAI's error shape. The gateway is a server of its own, so each leaf carries its HTTP status."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from engine.errors import EngineError

_CALLER: Final = "invalid_request_error"
_SERVER: Final = "server_error"
_RETRY_AFTER_S: Final = "2"  # a shard of the local provider is back in about a second


class ApiError(EngineError):
    """A request that ends in an error answer.

    Attributes:
        status: HTTP status.
        kind: OpenAI's `type`.
        headers: what the answer carries besides the body.
    """

    code = "api_error"
    status = 500
    kind = _SERVER
    headers: Mapping[str, str] = {}

    def __init__(self, message: str, *, param: str | None = None, **data: Any) -> None:
        super().__init__(message, param=param, **data)
        self.param = param


class MissingKeyError(ApiError):
    """No API key came with the request."""

    code = "missing_api_key"
    status = 401
    kind = _CALLER
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class InvalidKeyError(ApiError):
    """The key is unknown or revoked."""

    code = "invalid_api_key"
    status = 401
    kind = _CALLER
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class UnknownModelError(ApiError):
    """The key's deployment serves another model."""

    code = "model_not_found"
    status = 404
    kind = _CALLER


class InvalidBodyError(ApiError):
    """The body is not what the gateway can route; `param` names the field."""

    code = "invalid_body"
    status = 400
    kind = _CALLER


class BodyTooLargeError(ApiError):
    """The body exceeds the gateway's limit."""

    code = "body_too_large"
    status = 413
    kind = _CALLER


class UnknownRouteError(ApiError):
    """There is no such path, or not with this method."""

    code = "unknown_route"
    status = 404
    kind = _CALLER


class NoReadyShardError(ApiError):
    """No shard of the deployment can be reached just now."""

    code = "no_ready_shard"
    retryable = True
    status = 503
    headers: Mapping[str, str] = {"Retry-After": _RETRY_AFTER_S}


class ShardsFailedError(ApiError):
    """Shards took the request and failed it."""

    code = "shards_failed"
    retryable = True
    status = 502


class InternalError(ApiError):
    """A defect of the gateway."""

    code = "internal_error"


def dump_error(error: ApiError) -> bytes:
    """Return the JSON body of an error answer."""
    body = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
    return orjson.dumps({"error": body})
