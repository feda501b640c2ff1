"""A console that answers from a table, and an installation that it seems to run in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from workers import console_access
from workers.cli import console
from workers.cli.console import Console
from workers.console_access import ConsoleAccess
from workers.home import Home
from workers.up import presence
from workers.up.presence import Presence

WEB_URL = "http://127.0.0.1:8400"


class FakeConsole:
    """Answers REST calls from a table and remembers them."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.calls: list[tuple[str, str, Any]] = []
        self.tokens: list[str] = []

    def answer(self, method: str, path: str, body: Any, *, status: int = 200) -> None:
        """Set the answer to one call."""
        self.answers[method, path] = (status, body)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one call."""
        self.tokens.append(request.headers["Authorization"])
        body = json.loads(request.content) if request.content else None
        self.calls.append((request.method, request.url.path, body))
        status, answer = self.answers[request.method, request.url.path]
        return httpx.Response(status) if answer is None else httpx.Response(status, json=answer)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An installation in which nothing runs."""
    monkeypatch.setenv("MEDLEY_HOME", str(tmp_path))
    return Home(folder=tmp_path)


@pytest.fixture
def fake_console(home: Home, monkeypatch: pytest.MonkeyPatch) -> FakeConsole:
    """A console that runs in the installation."""
    fake = FakeConsole()
    console_access.write_access(home, ConsoleAccess(web_url=WEB_URL, token="mdt_token"))
    monkeypatch.setattr(presence, "find_running", lambda _home: Presence(pid=1, web_url=WEB_URL))
    build: Callable[..., Console] = Console

    def connect(web_url: str, token: str) -> Console:
        return build(web_url, token, transport=httpx.MockTransport(fake.handle))

    monkeypatch.setattr(console, "Console", connect)
    return fake
