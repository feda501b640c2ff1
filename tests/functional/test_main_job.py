"""The main job, end to end: plan, approve, serve on real vLLM, watch, survive a killed shard, stop."""

import json
import os
import re
import signal
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.clients import GatewayClient, Load
from tests.support.installation import PASSWORD, Installation, Person, list_pids, read_command, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.serving, pytest.mark.browser]

NAME = "demo"
NUM_STREAMS = 100
TELEMETRY_S = 5.0


def sign_in(page: Page, person: Person) -> None:
    page.goto(f"{person.web_url}/")
    page.fill("input[name=username]", person.username)
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{person.web_url}/")


def request_plan(planner: Person) -> dict[str, Any]:
    """Ask for as much as two slots can do, and wait for the answer."""
    body = {
        "deployment_name": NAME,
        "objective": "max_rate",
        "budget_usd_per_hour": 1.3,
        "model_slug": "demo",
        "workload_slug": "demo",
        "slo_ttft_s": 5.0,
        "allowed_providers": ["local"],
    }
    request = planner.ask("POST", "/plan-requests", body, status=201)
    return planner.wait_plan(request["id"], ["awaiting_approval", "failed", "infeasible", "rejected", "approved"])


def approve(page: Page, planner: Person, approver: Person, plan: dict[str, Any]) -> None:
    """Have the author refused, and somebody else approve on the page."""
    planner.ask("POST", f"/plan-requests/{plan['id']}/approve", {}, status=403)
    sign_in(page, approver)
    page.goto(f"{approver.web_url}/plans/{plan['id']}/")
    page.get_by_role("button", name="Approve").click()
    approver.wait_plan(plan["id"], ["approved", "applying", "live"])


def check_status(installation: Installation) -> dict[str, Any]:
    """Check the words of `medley status` against what the gateway does."""
    status = json.loads(installation.run("status", "--json"))
    assert status["web_url"] == installation.web_url
    (deployment,) = status["deployments"]
    assert {name: deployment[name] for name in ("name", "state", "model", "gateway_url", "usd_per_hour")} == {
        "name": NAME,
        "state": "live",
        "model": "demo",
        "gateway_url": installation.gateway_url,
        "usd_per_hour": 1.2,
    }
    assert [shard["state"] for shard in deployment["shards"]] == ["ready", "ready"]
    assert all(set(shard) == {"id", "state", "port"} for shard in deployment["shards"])
    found: dict[str, Any] = deployment
    return found


def check_telemetry(page: Page, approver: Person, client: GatewayClient) -> None:
    """Stream requests while the page is open; what was measured must be on it in time."""
    page.goto(f"{approver.web_url}/deployments/{NAME}/")
    latency = page.locator("[data-live-latency=ttft_p90_s]")
    assert re.fullmatch(r"[–-]", latency.inner_text().strip()), "nothing was measured before the first request"
    chunks = client.stream_many(NUM_STREAMS)
    assert len(chunks) == NUM_STREAMS
    assert min(chunks) >= 1
    page.wait_for_function(
        "/[0-9]/.test(document.querySelector('[data-live-latency=ttft_p90_s]').textContent)",
        timeout=TELEMETRY_S * 1000,
    )


def kill_a_shard_under_load(viewer: Person, client: GatewayClient) -> None:
    """Kill one shard while requests run: each is answered, and the shard comes back."""
    shard = viewer.get_deployment(NAME)["shards"][0]

    def is_back() -> bool:
        now = next(item for item in viewer.get_deployment(NAME)["shards"] if item["id"] == shard["id"])
        return bool(now["num_restarts"] == shard["num_restarts"] + 1 and now["state"] == "ready")

    with Load(client) as load:
        load.wait_more(8)
        os.kill(shard["pid"], signal.SIGKILL)
        load.wait_more(20)
        wait_for(is_back, what="the killed shard ready again")
        load.wait_more(8)
    assert set(load.statuses) == {200}


def stop(installation: Installation, planner: Person) -> None:
    """Stop the deployment, then the installation; nothing runs on."""
    shards = planner.get_deployment(NAME)["shards"]
    planner.ask("POST", f"/deployments/{NAME}/stop", {}, status=202)
    planner.wait_state(NAME, "stopped")
    assert not {shard["pid"] for shard in shards} & set(list_pids())
    assert not [pid for pid in installation.list_processes() if "engine.serving.agent" in read_command(pid)]
    installation.run("stop")
    assert installation.list_processes() == []
    installation.run("status", code=3)


class TestMainJob:
    def test_goes_from_a_budget_to_tokens_and_back_to_nothing(self, installation: Installation, page: Page) -> None:
        installation.start()
        planner = installation.make_person("ada", "planner")
        approver = installation.make_person("bob", "approver")
        installation.wait_serving()

        plan = request_plan(planner)
        assert plan["state"] == "awaiting_approval", plan
        approve(page, planner, approver, plan)
        planner.wait_state(NAME, "live")
        check_status(installation)

        key = json.loads(installation.run("keys", "create", "--deployment", NAME, "--json"))["key"]
        client = GatewayClient(gateway_url=installation.gateway_url, key=key)
        wait_for(lambda: client.complete() == 200, what="the key known to the gateway")
        check_telemetry(page, approver, client)
        kill_a_shard_under_load(planner, client)
        stop(installation, planner)
