"""Every page in a real browser: no foreign request, no error, no sideways scroll, both themes."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.support.console import Console

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_PATHS = (
    "/",
    "/market/",
    "/catalogue/",
    "/plans/",
    "/plans/new/",
    "/plans/{plan}/",
    "/approvals/",
    "/deployments/",
    "/deployments/looks/",
    "/account/",
)


@pytest.fixture(scope="module")
def plan_id(console: Console) -> int:
    """A solved plan with a deployment called `looks`."""
    plan_request_id = console.change("request_plan", deployment_name="looks")["id"]
    assert console.change("solve", plan_request_id=plan_request_id) == {"state": "awaiting_approval"}
    console.change("deploy", plan_request_id=plan_request_id)
    console.change("measure", name="looks", ttft_p90_s=0.3, output_tokens_per_s=80.0)
    return int(plan_request_id)


class TestEveryPage:
    @pytest.mark.parametrize("width", [400, 1600])
    def test_fits_its_width(self, open_page: OpenPage, plan_id: int, width: int) -> None:
        visit = open_page("admin", width=width)
        for path in _PATHS:
            visit.go(path.format(plan=plan_id))
            surplus = visit.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert surplus <= 0, path

    def test_has_one_heading_and_a_label_for_every_field(self, open_page: OpenPage, plan_id: int) -> None:
        visit = open_page("admin")
        for path in _PATHS:
            visit.go(path.format(plan=plan_id))
            assert visit.page.locator("h1").count() == 1, path
            unnamed = visit.page.evaluate(
                "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]"
                ".filter((field) => !field.labels?.length && !field.ariaLabel).map((field) => field.name)"
            )
            assert unnamed == [], path
            nameless = visit.page.evaluate(
                "[...document.querySelectorAll('button, a[href]')]"
                ".filter((item) => !item.textContent.trim() && !item.ariaLabel).length"
            )
            assert nameless == 0, path


class TestThemes:
    def test_follow_the_system_until_one_is_chosen(self, open_page: OpenPage) -> None:
        visit = open_page("viewer", color_scheme="dark")
        root = visit.page.locator("html")
        expect(root).to_have_attribute("data-theme", "dark")
        visit.page.get_by_role("button", name="Light or dark").click()
        expect(root).to_have_attribute("data-theme", "light")
        visit.go("/market/")
        expect(root).to_have_attribute("data-theme", "light")


class TestNavigation:
    def test_is_a_drawer_on_narrow_screens(self, open_page: OpenPage) -> None:
        visit = open_page("viewer", width=400)
        link = visit.page.get_by_role("link", name="Deployments", exact=True)
        expect(link).to_be_hidden()
        visit.page.get_by_role("button", name="Open navigation").click()
        expect(link).to_be_visible()
        visit.page.keyboard.press("Escape")
        expect(link).to_be_hidden()

    def test_lets_the_keyboard_skip_to_the_content(self, open_page: OpenPage) -> None:
        visit = open_page("viewer")
        visit.go("/")
        visit.page.keyboard.press("Tab")
        expect(visit.page.get_by_role("link", name="Skip to content")).to_be_focused()
