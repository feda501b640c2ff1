"""From engine errors to HTTP answers."""

import json

import pytest

from engine.errors import EngineError, InvalidInputError, RefusedError, UnavailableError
from webapp.core.errors import ConflictError, ForbiddenError, NotFoundError, QueueUnavailableError
from webapp.core.http import error_to_body, error_to_response, get_error_status


class TestGetErrorStatus:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (InvalidInputError("m", field="f", remedy="r"), 422),
            (NotFoundError("m", field="f"), 404),
            (ForbiddenError("m"), 403),
            (RefusedError("m"), 409),
            (ConflictError("m"), 409),
            (UnavailableError("m"), 503),
            (QueueUnavailableError("m"), 503),
            (EngineError("m"), 500),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, EngineError) else str(value),
    )
    def test_says_how_to_recover(self, error: EngineError, status: int) -> None:
        assert get_error_status(error) == status
        assert error_to_response(error).status_code == status


class TestErrorToBody:
    def test_names_field_and_remedy_of_bad_input(self) -> None:
        error = InvalidInputError("rate: must be above 0", field="rate", remedy="give a number above 0")
        assert error_to_body(error) == {
            "error": {
                "code": "invalid_input",
                "message": "rate: must be above 0",
                "field": "rate",
                "remedy": "give a number above 0",
            }
        }

    def test_has_no_field_where_the_input_is_not_at_fault(self) -> None:
        body = json.loads(error_to_response(ForbiddenError("no")).content)
        assert body == {"error": {"code": "forbidden", "message": "no", "field": None, "remedy": None}}
