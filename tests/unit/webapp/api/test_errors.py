"""REST errors that no operation makes: the framework's own answers have the shape, field and remedy of all others."""

import pytest
from django.conf import LazySettings
from django.test import Client

from webapp.core.models import User

pytestmark = pytest.mark.django_db
_URL = "/api/v1/plan-requests"


@pytest.fixture
def call(client: Client, planner: User) -> Client:
    """A client that is signed in by session; forms need no token in tests."""
    client.force_login(planner)
    return client


def _post(client: Client, body: str) -> tuple[int, dict[str, str]]:
    answer = client.post(_URL, body, content_type="application/json")
    return answer.status_code, answer.json()["error"]


class TestFrameworkErrors:
    def test_name_the_body_that_is_no_json(self, call: Client) -> None:
        status, error = _post(call, "{")
        assert (status, error["code"], error["field"]) == (400, "bad_request", "body")
        assert error["remedy"] == "send one JSON object in UTF-8"

    @pytest.mark.parametrize("body", ["[]", "", "3"])
    def test_name_the_body_that_is_no_object(self, call: Client, body: str) -> None:
        status, error = _post(call, body)
        assert (status, error["code"], error["field"]) == (422, "invalid_input", "body")

    def test_say_how_large_a_body_may_be(self, call: Client, settings: LazySettings) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
        status, error = _post(call, "x" * (2**20 + 1))
        assert (status, error["code"], error["field"]) == (400, "body_too_large", "body")
        assert "at most 1 MiB" in error["remedy"]

    def test_say_which_hosts_are_answered(self, call: Client) -> None:
        answer = call.get(_URL, headers={"host": "elsewhere.example"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["field"]) == (400, "unknown_host", "Host")
        assert "MEDLEY_ALLOWED_HOSTS" in error["remedy"]
