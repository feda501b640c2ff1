"""People at work: filtering the market, asking for a plan, deciding it, and figures that move by themselves."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.support.console import Console

pytestmark = [pytest.mark.browser, pytest.mark.slow]


# Keeps hold of the page's WebSockets and of the telemetry that they brought.
_SPY = """
window.sockets = [];
window.seen = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    window.sockets.push(this);
    this.addEventListener("message", (message) => {
      const event = JSON.parse(message.data);
      if (event.kind === "telemetry") window.seen.push(event.payload.ttft_p90_s);
    });
  }
};
"""


def _read_id(url: str) -> int:
    return int(url.rstrip("/").rsplit("/", 1)[1])


@pytest.fixture(scope="module")
def name(console: Console) -> str:
    """A live deployment."""
    plan_id = console.change("request_plan", deployment_name="watched")["id"]
    console.change("solve", plan_request_id=plan_id)
    console.change("deploy", plan_request_id=plan_id)
    return "watched"


class TestSignIn:
    def test_says_that_a_password_is_wrong(self, open_page: OpenPage) -> None:
        visit = open_page("viewer")
        visit.page.get_by_role("button", name="Sign out").click()
        visit.page.get_by_label("User name").fill("viewer")
        visit.page.get_by_label("Password").fill("wrong")
        visit.page.get_by_role("button", name="Sign in").click()
        expect(visit.page.get_by_role("alert")).to_contain_text("correct username and password")


class TestMarket:
    def test_filters_without_a_reload_and_keeps_them_in_the_address(self, open_page: OpenPage) -> None:
        visit = open_page("viewer")
        visit.go("/market/")
        visit.page.evaluate("window.isSamePage = true")
        visit.page.get_by_label("GPU", exact=True).select_option("H100")
        expect(visit.page).to_have_url(f"{visit.url}/market/?gpu=H100")
        expect(visit.page.locator("#offers tbody tr").first).to_contain_text("H100")
        assert visit.page.evaluate("window.isSamePage") is True
        assert visit.page.locator("#offers tbody tr", has_text="H100").count() == (
            visit.page.locator("#offers tbody tr").count()
        )
        visit.page.get_by_role("link", name="USD per GPU-hour").click()
        expect(visit.page.get_by_label("GPU", exact=True)).to_have_value("H100")
        expect(visit.page.locator("th[aria-sort=descending]")).to_have_text("USD per GPU-hour")

    def test_keeps_the_order_when_a_filter_changes(self, open_page: OpenPage) -> None:
        visit = open_page("viewer")
        visit.go("/market/?sort=age")
        visit.page.get_by_label("Highest USD per GPU-hour").fill("1.5")
        expect(visit.page).to_have_url(f"{visit.url}/market/?max_price=1.5&sort=age")
        expect(visit.page.locator("th[aria-sort]")).to_have_text("Age")


class TestPlan:
    def test_goes_from_the_form_over_live_progress_to_a_decision(self, open_page: OpenPage, console: Console) -> None:
        visit = open_page("planner")
        visit.go("/plans/new/")
        visit.page.get_by_label("Deployment", exact=True).fill("support")
        visit.page.get_by_label("Model", exact=True).select_option("llama-3.1-8b")
        visit.page.get_by_label("Workload", exact=True).select_option("chat")
        visit.page.get_by_label("Budget", exact=True).fill("2")
        visit.page.get_by_label("TTFT").fill("2")
        visit.page.get_by_label("TPOT").fill("100")
        visit.page.get_by_role("button", name="Make the plan").click()
        expect(visit.page.locator("#plan-state")).to_have_text("Solving")
        expect(visit.page.locator("[data-connection]")).to_have_text("Live")
        plan_id = _read_id(visit.page.url)

        console.change("report_progress", plan_request_id=plan_id, fraction=0.4, text="Halfway there")
        expect(visit.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "40")
        expect(visit.page.locator("[data-progress-text]")).to_have_text("Halfway there")

        console.change("solve", plan_request_id=plan_id)
        expect(visit.page.locator("#plan-state")).to_have_text("Awaiting approval")
        expect(visit.page.get_by_role("heading", name="Machines to rent")).to_be_visible()
        expect(visit.page.get_by_text("Your role (planner) does not include approvals.decide")).to_be_visible()

        decider = open_page("approver")
        decider.go(f"/plans/{plan_id}/")
        decider.page.get_by_label("Comment").fill("within the month's budget")
        decider.page.get_by_role("button", name="Approve").click()
        expect(decider.page.get_by_text("Approved. The plan is being applied.")).to_be_visible()
        expect(visit.page.locator("#plan-state")).to_have_text("Approved")

    def test_shows_errors_beside_their_fields(self, open_page: OpenPage) -> None:
        visit = open_page("planner")
        visit.go("/plans/new/")
        visit.page.get_by_label("Deployment", exact=True).fill("Not a name")
        visit.page.get_by_label("Budget", exact=True).fill("2")
        visit.page.get_by_role("button", name="Make the plan").click()
        field = visit.page.get_by_label("Deployment", exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_value("Not a name")
        expect(visit.page.locator("#id_deployment_name_error")).to_contain_text("use up to 48 small letters")
        visit.errors.clear()  # the browser itself reports the status 422


class TestDeployment:
    def test_draws_what_arrives(self, open_page: OpenPage, console: Console, name: str) -> None:
        visit = open_page("viewer")
        visit.go(f"/deployments/{name}/")
        expect(visit.page.locator("#charts [data-connection]")).to_have_text("Live")
        console.change("measure", name=name, ttft_p90_s=0.321, output_tokens_per_s=87.0)
        expect(visit.page.locator("[data-live-latency=ttft_p90_s]")).to_have_text("321 ms")
        expect(visit.page.locator("[data-live-value=output_tokens_per_s]")).to_have_text("87")
        expect(visit.page.locator("[data-chart=ttft] .main-svg").first).to_be_visible()
        legend = visit.page.locator("[data-chart=ttft] .legendtext")
        expect(legend).to_have_text(["p50", "p90", "plan", "SLO p90"])
        expect(visit.page.locator("[data-live-latency=e2e_p90_s]")).to_have_text("2.5 s")
        expect(visit.page.locator("[data-chart=e2e] .legendtext")).to_have_text(["p50", "p90", "SLO p90"])

    def test_loses_nothing_while_the_connection_is_gone(self, open_page: OpenPage, console: Console, name: str) -> None:
        visit = open_page("viewer")
        visit.page.add_init_script(_SPY)
        visit.go(f"/deployments/{name}/")
        state = visit.page.locator("#charts [data-connection]")
        expect(state).to_have_text("Live")
        visit.page.context.set_offline(True)
        visit.page.evaluate("window.sockets[0].close()")
        expect(state).to_have_text("Connecting…")
        console.change("measure", name=name, ttft_p90_s=0.111, output_tokens_per_s=11.0)
        console.change("measure", name=name, ttft_p90_s=0.222, output_tokens_per_s=22.0)
        assert visit.page.evaluate("window.seen") == []
        visit.page.context.set_offline(False)
        expect(visit.page.locator("[data-live-latency=ttft_p90_s]")).to_have_text("222 ms")
        assert visit.page.evaluate("window.seen") == [0.111, 0.222]
        visit.errors.clear()  # the browser itself reports what it could not reach

    def test_shows_a_new_state_at_once(self, open_page: OpenPage, console: Console, name: str) -> None:
        visit = open_page("viewer")
        visit.go(f"/deployments/{name}/")
        expect(visit.page.locator("#charts [data-connection]")).to_have_text("Live")
        console.change("move_deployment", name=name, state="degraded")
        expect(visit.page.locator("#deployment-state")).to_have_text("Degraded")

    def test_shows_a_key_once(self, open_page: OpenPage, name: str) -> None:
        visit = open_page("planner")
        visit.go(f"/deployments/{name}/")
        visit.page.get_by_label("Name", exact=True).fill("bot")
        visit.page.get_by_role("button", name="Make a key").click()
        expect(visit.page.locator("#new-key")).to_contain_text("mdk_")

    def test_asks_before_it_stops(self, open_page: OpenPage, name: str) -> None:
        visit = open_page("planner")
        visit.go(f"/deployments/{name}/")
        visit.page.get_by_role("button", name="Stop", exact=True).click()
        expect(visit.page.get_by_role("dialog")).to_contain_text(f"Stop {name}?")
        visit.page.get_by_role("button", name="Keep it").click()
        expect(visit.page.get_by_role("dialog")).to_be_hidden()
        visit.page.get_by_role("button", name="Stop", exact=True).click()
        visit.page.get_by_role("button", name=f"Stop {name}").click()
        expect(visit.page.locator("#deployment-state")).to_have_text("Stopping")
