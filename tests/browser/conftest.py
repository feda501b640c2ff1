"""One console for all browser tests, and pages of the system's Chromium that note what must not happen."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.support import console as console_support
from tests.support.console import PASSWORD, Console

OpenPage = Callable[..., "Visit"]

expect.set_options(timeout=20_000)  # a machine under load still passes; a passing test does not wait


@dataclass(kw_only=True)
class Visit:
    """A signed-in page, and what went wrong on it."""

    page: Page
    url: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of the console."""
        response = self.page.goto(f"{self.url}{path}")
        assert response is not None
        assert response.status == 200, path


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A running console with people, market and presets; one for the session, as its start takes seconds."""
    if _find_chromium() is None:
        pytest.skip("Chromium is not installed")
    home = tmp_path_factory.mktemp("console")
    console_support.prepare(home)
    console = console_support.start(home)
    console.change("seed")
    yield console
    console.stop()


def _find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def chromium(console: Console) -> Iterator[Browser]:
    """The system's Chromium. (The plugin's own fixture would keep its event loop running under all later tests.)"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, console: Console) -> Iterator[OpenPage]:
    """Open a page and sign in; what it may not do is checked at the end of the test."""
    visits: list[Visit] = []

    def sign_in(username: str, *, width: int = 1600, **options: Any) -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        visit = Visit(page=context.new_page(), url=console.url)
        _watch(visit)
        visits.append(visit)
        visit.go("/login/")
        visit.page.get_by_label("User name").fill(username)
        visit.page.get_by_label("Password").fill(PASSWORD)
        visit.page.get_by_role("button", name="Sign in").click()
        visit.page.wait_for_url(f"{console.url}/")
        return visit

    yield sign_in
    for visit in visits:
        visit.page.context.close()
    assert [visit.foreign for visit in visits] == [[] for _ in visits]
    assert [visit.errors for visit in visits] == [[] for _ in visits]


def _watch(visit: Visit) -> None:
    def note_request(request: Request) -> None:
        if not request.url.startswith((visit.url, "data:", "blob:")):
            visit.foreign.append(request.url)

    def note_message(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            visit.errors.append(message.text)

    visit.page.on("request", note_request)
    visit.page.on("console", note_message)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
