"""REST as the command uses it."""

import httpx
import pytest

from engine.errors import InvalidInputError
from workers.cli.console import Console, ConsoleRefusedError, NotRunningError, check_identifier


def make_console(response: httpx.Response | Exception) -> Console:
    def handle(_request: httpx.Request) -> httpx.Response:
        if isinstance(response, Exception):
            raise response
        return response

    return Console("http://127.0.0.1:8400", "mdt_token", transport=httpx.MockTransport(handle))


class TestConsole:
    def test_returns_the_answer(self) -> None:
        assert make_console(httpx.Response(200, json=[1])).ask("GET", "/deployments") == [1]

    def test_returns_none_when_there_is_no_content(self) -> None:
        assert make_console(httpx.Response(204)).ask("DELETE", "/deployments/a/keys/1") is None

    def test_calls_a_silent_console_not_running(self) -> None:
        with pytest.raises(NotRunningError, match=r"http://127\.0\.0\.1:8400 does not answer \(refused\)"):
            make_console(httpx.ConnectError("refused")).ask("GET", "/deployments")

    @pytest.mark.parametrize(
        ("response", "message"),
        [
            (httpx.Response(409, json={"error": {"message": "busy", "remedy": None}}), "busy"),
            (httpx.Response(422, json={"error": {"message": "bad", "remedy": "mend it"}}), "bad; mend it"),
            (httpx.Response(500, text="Server Error"), "HTTP 500: Server Error"),
            (httpx.Response(502, json={"detail": "x"}), 'HTTP 502: {"detail":"x"}'),
        ],
    )
    def test_repeats_the_reason_of_a_refusal(self, response: httpx.Response, message: str) -> None:
        with pytest.raises(ConsoleRefusedError) as caught:
            make_console(response).ask("GET", "/deployments")
        assert caught.value.message == message
        assert caught.value.data == {"status": response.status_code}


class TestCheckIdentifier:
    @pytest.mark.parametrize("text", ["demo", "a-1", "a_b"])
    def test_takes_names(self, text: str) -> None:
        assert check_identifier(text, field="deployment") == text

    @pytest.mark.parametrize("text", ["", "a/b", "..", "a b", "a?b"])
    def test_refuses_what_addresses_would_misread(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            check_identifier(text, field="deployment")
