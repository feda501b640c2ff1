"""Planning on real input, through REST: a public trace, a large model, all offers of the seed table."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from webapp.core import tokens
from webapp.core.models import User
from webapp.market import services as market_services
from webapp.planning import services
from webapp.planning.models import PlanRequest
from workers.tasks import planning as tasks

pytestmark = [pytest.mark.django_db, pytest.mark.data, pytest.mark.slow]

Post = Callable[[User, str, object], HttpResponse]


@pytest.fixture
def market(db: None) -> None:
    """The presets, and every offer of the seed table."""
    instant = timezone.now()
    services.ensure_presets(now=instant)
    market_services.load_seed(now=instant)


@pytest.fixture
def post(client: Client) -> Post:
    """Call the API as a user."""

    def send(user: User, path: str, body: object) -> HttpResponse:
        _, plaintext = tokens.create_token(actor=None, user=user, name="test", now=timezone.now())
        headers = {"Authorization": f"Bearer {plaintext}"}
        return client.post(f"/api/v1{path}", body, content_type="application/json", headers=headers)

    return send


@pytest.mark.usefixtures("market")
class TestAzureConversation:
    """The Azure conversation trace on Llama-3.1-70B for 30 USD/h..."""

    def test_is_planned_to_optimality_and_approved_by_somebody_else(
        self, post: Post, client: Client, planner: User, approver: User, data_dir: Path
    ) -> None:
        csv_text = (data_dir / "azure_llm_2023_conv.csv").read_text()
        uploaded = post(planner, "/workloads", {"slug": "azure", "name": "Azure", "csv_text": csv_text})
        assert (uploaded.status_code, uploaded.json()["num_requests"]) == (201, 19_366)
        asked = {
            "deployment_name": "llama",
            "objective": "max_rate",
            "budget_usd_per_hour": 30,
            "model_slug": "llama-3.1-70b",
            "workload_slug": "azure",
            "slo_ttft_s": 2.0,
            "slo_tpot_s": 0.1,
        }
        request_id = post(planner, "/plan-requests", asked).json()["id"]
        token = PlanRequest.objects.get(pk=request_id).solve_token

        tasks.solve(plan_request_id=request_id, solve_token=token)

        client.force_login(approver)
        found = client.get(f"/api/v1/plan-requests/{request_id}").json()
        plan, report = found["plan"], found["plan"]["report"]
        assert (found["state"], report["status"]) == ("awaiting_approval", "optimal")
        assert 0 <= report["gap"] <= 1e-4
        assert 0 < plan["usd_per_hour"] <= 30
        assert plan["usd_per_hour"] == pytest.approx(sum(machine["usd_per_hour"] for machine in plan["machines"]))
        prediction = plan["prediction"]
        assert prediction["ttft_slo_s"] <= 2.0
        assert prediction["tpot_slo_s"] <= 0.1
        single = next(item for item in plan["baselines"] if item["name"] == "best single GPU type")
        assert single["requests_per_s"] <= prediction["requests_per_s"] * (1 + 1e-6)
        for request_class in found["classes"]:
            served = sum(replica["shares"].get(request_class["id"], 0.0) for replica in plan["replicas"])
            assert served == pytest.approx(1.0)
        decided = post(approver, f"/plan-requests/{request_id}/approve", {"plan_id": found["plan_id"]})
        assert (decided.status_code, decided.json()["decided_by"]) == (200, "approver")
