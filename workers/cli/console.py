"""The console as the `medley` command reaches it: REST with the token that `medley up` left for it."""

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from engine.errors import EngineError, InvalidInputError, UnavailableError
from workers import console_access
from workers.home import Home
from workers.up import presence

_TIMEOUT_S: Final = 10.0
_NO_CONTENT: Final = 204


class NotRunningError(UnavailableError):
    """No console of this installation answers."""

    code = "not_running"


class ConsoleRefusedError(EngineError):
    """The console answered with an error."""

    code = "console_refused"


class Console:
    """REST v1 of a running console.

    Args:
        web_url: its address.
        token: an API token.
        transport: for tests.
    """

    def __init__(self, web_url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.web_url = web_url
        self._http = httpx.Client(
            base_url=f"{web_url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
            transport=transport,
        )

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
        """Return the JSON of an answer.

        Raises:
            NotRunningError: nothing answers.
            ConsoleRefusedError: the console says no; its message says why.
        """
        try:
            response = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise NotRunningError(f"the console at {self.web_url} does not answer ({error})") from error
        if response.is_success:
            return None if response.status_code == _NO_CONTENT else response.json()
        raise ConsoleRefusedError(_read_message(response), status=response.status_code)


def _read_message(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        parts = (error["message"], error.get("remedy"))
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"HTTP {response.status_code}: {response.text[:200]}"
    return "; ".join(str(part) for part in parts if part)


def connect(home: Home) -> Console:
    """Return the console of this installation.

    Raises:
        NotRunningError: it was never started, or it does not run.
    """
    access = console_access.find_access(home)
    if access is None or presence.find_running(home) is None:
        raise NotRunningError(f"no console runs in {home.folder}: start it with `make run`")
    return Console(access.web_url, access.token)


def check_identifier(text: str, *, field: str) -> str:
    """Return a name that is safe inside an address.

    Raises:
        InvalidInputError: it holds other signs than letters, digits, `-` and `_`.
    """
    if not text or not all(sign.isalnum() or sign in "-_" for sign in text):
        raise InvalidInputError(f"{text!r} is not a name", field=field, remedy="use letters, digits, - and _")
    return text
