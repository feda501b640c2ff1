"""Answers in OpenAI's shape."""

import pickle

import orjson
import pytest

from engine.gateway.errors import (
    ApiError,
    BodyTooLargeError,
    InternalError,
    InvalidBodyError,
    InvalidKeyError,
    MissingKeyError,
    NoReadyShardError,
    ShardsFailedError,
    UnknownModelError,
    UnknownRouteError,
    dump_error,
)

LEAVES = [
    (MissingKeyError, 401, "invalid_request_error", "missing_api_key"),
    (InvalidKeyError, 401, "invalid_request_error", "invalid_api_key"),
    (UnknownModelError, 404, "invalid_request_error", "model_not_found"),
    (InvalidBodyError, 400, "invalid_request_error", "invalid_body"),
    (BodyTooLargeError, 413, "invalid_request_error", "body_too_large"),
    (UnknownRouteError, 404, "invalid_request_error", "unknown_route"),
    (NoReadyShardError, 503, "server_error", "no_ready_shard"),
    (ShardsFailedError, 502, "server_error", "shards_failed"),
    (InternalError, 500, "server_error", "internal_error"),
]


class TestDumpError:
    @pytest.mark.parametrize(("leaf", "status", "kind", "code"), LEAVES)
    def test_has_openais_shape(self, leaf: type[ApiError], status: int, kind: str, code: str) -> None:
        error = leaf("what went wrong", param="model")
        assert error.status == status
        assert orjson.loads(dump_error(error)) == {
            "error": {"message": "what went wrong", "type": kind, "param": "model", "code": code}
        }

    def test_has_null_for_no_param(self) -> None:
        assert orjson.loads(dump_error(InternalError("x")))["error"]["param"] is None


class TestApiError:
    @pytest.mark.parametrize("leaf", [row[0] for row in LEAVES])
    def test_survives_pickling(self, leaf: type[ApiError]) -> None:
        again = pickle.loads(pickle.dumps(leaf("text", param="stream", shard_id="a")))  # noqa: S301  # our own bytes
        assert (type(again), again.message, again.param, again.data["shard_id"]) == (leaf, "text", "stream", "a")
