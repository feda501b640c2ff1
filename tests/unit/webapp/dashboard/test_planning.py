"""Plans: the list, the form with errors beside its fields, and the page in every state."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from engine.domain.plan import Baseline, BindingRow, InfeasibleReason, Plan, SolveStatus
from webapp.core.models import AuditEntry, User
from webapp.planning import services
from webapp.planning.models import PlanRequest, PlanState, ServedModel, WorkloadProfile

MakePlan = Callable[..., Plan]
MakePlanRequest = Callable[..., PlanRequest]


@pytest.fixture
def fields(market: object, served_model: ServedModel, workload: WorkloadProfile) -> dict[str, Any]:
    """What a person types."""
    return {
        "deployment_name": "chat",
        "objective": "max_rate",
        "model": "llama-8b",
        "workload": "mix",
        "budget_usd_per_hour": "30.5",
        "requests_per_s": "",
        "slo_ttft_s": "2",
        "slo_tpot_ms": "100",
        "slo_e2e_s": "",
        "slo_percentile": "90",
        "allowed_providers": ["aws"],
        "allows_spot": "on",
        "default_available_count": "8",
    }


def _read_errors(client: Client, fields: dict[str, Any], **changes: Any) -> dict[str, list[str]]:
    response = client.post("/plans/new/", {**fields, **changes})
    assert response.status_code == 422
    assert PlanRequest.objects.count() == 0
    return dict(response.context["form"].errors)


class TestForm:
    def test_stores_a_request_and_starts_solving(self, browse: Any, planner: User, fields: dict[str, Any]) -> None:
        response = browse(planner).post("/plans/new/", fields)
        row = PlanRequest.objects.get()
        assert response.headers["Location"] == f"/plans/{row.pk}/"
        assert (row.state, row.author, row.budget_usd_per_hour) == ("solving", planner, Decimal("30.5"))
        assert (row.slo_ttft_s, row.slo_tpot_s, row.slo_e2e_s, row.slo_percentile) == (2.0, 0.1, None, 90.0)
        assert (row.allowed_providers, row.allowed_regions, row.allows_spot) == (["aws"], [], True)

    def test_makes_one_call(
        self, browse: Any, planner: User, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[dict[str, Any]] = []
        monkeypatch.setattr(services, "request_plan", lambda **given: calls.append(given) or PlanRequest(pk=7))
        response = browse(planner).post("/plans/new/", fields)
        assert response.headers["Location"] == "/plans/7/"
        assert [(call["actor"], call["spec"].model_slug) for call in calls] == [(planner, "llama-8b")]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"deployment_name": "No Spaces"}, "deployment_name"),
            ({"budget_usd_per_hour": "0"}, "budget_usd_per_hour"),
            ({"budget_usd_per_hour": "a lot"}, "budget_usd_per_hour"),
            ({"budget_usd_per_hour": ""}, "budget_usd_per_hour"),
            ({"slo_ttft_s": "-1"}, "slo_ttft_s"),
            ({"slo_tpot_ms": "-1"}, "slo_tpot_ms"),
            ({"slo_percentile": "20"}, "slo_percentile"),
            ({"default_available_count": "0"}, "default_available_count"),
            ({"model": "unknown"}, "model"),
            ({"allowed_providers": ["nobody"]}, "allowed_providers"),
            ({"allowed_providers": ["local"]}, "allowed_providers"),
        ],
    )
    def test_shows_what_is_wrong_beside_the_field(
        self, browse: Any, planner: User, fields: dict[str, Any], changes: dict[str, Any], field: str
    ) -> None:
        assert list(_read_errors(browse(planner), fields, **changes)) == [field]

    def test_says_the_remedy(self, browse: Any, planner: User, fields: dict[str, Any]) -> None:
        errors = _read_errors(browse(planner), fields, slo_percentile="20")
        assert errors["slo_percentile"] == ["20.0 is outside 50..100: give a percentile from 50 to 100."]

    def test_keeps_what_was_typed(self, browse: Any, planner: User, fields: dict[str, Any]) -> None:
        response = browse(planner).post("/plans/new/", {**fields, "slo_ttft_s": "-1"})
        assert response.context["form"]["deployment_name"].value() == "chat"
        assert response.context["form"]["allowed_providers"].value() == ["aws"]

    def test_begins_with_what_another_request_asked_for(
        self, browse: Any, planner: User, make_plan_request: MakePlanRequest
    ) -> None:
        row = make_plan_request(allowed_regions=("eu-1",), allows_spot=True, budget_usd_per_hour=Decimal("30"))
        form = browse(planner).get(f"/plans/new/?from={row.pk}").context["form"]
        names = ("deployment_name", "model", "workload", "budget_usd_per_hour", "slo_ttft_s", "slo_tpot_ms")
        assert [form[name].value() for name in names] == ["chat", "llama-8b", "mix", "30", "2", "100"]
        assert form["allowed_regions"].value() == ["eu-1"]

    def test_knows_no_request_of_another_id(self, browse: Any, planner: User) -> None:
        assert browse(planner).get("/plans/new/?from=99").status_code == 404

    def test_begins_with_the_name_of_a_deployment(self, browse: Any, planner: User) -> None:
        form = browse(planner).get("/plans/new/?deployment=chat").context["form"]
        assert form["deployment_name"].value() == "chat"

    def test_explains_the_latency_words(self, browse: Any, planner: User) -> None:
        text = browse(planner).get("/plans/new/").content.decode()
        assert "from arrival at the gateway to the first output token" in text
        assert "The first token is not in it." in text


class TestList:
    def test_shows_newest_first(self, browse: Any, viewer: User, make_plan_request: MakePlanRequest) -> None:
        first, second = make_plan_request(), make_plan_request(deployment_name="code")
        rows = browse(viewer).get("/plans/").context["requests"]
        assert [row.id for row in rows] == [second.pk, first.pk]

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("?state=solving", ["code"]),
            ("?deployment=chat", ["chat"]),
            ("?state=live", []),
            ("?state=x", ["code", "chat"]),
        ],
    )
    def test_follows_the_filters_of_the_address(
        self, browse: Any, viewer: User, make_plan_request: MakePlanRequest, query: str, names: list[str]
    ) -> None:
        make_plan_request()
        make_plan_request(PlanState.SOLVING, deployment_name="code")
        rows = browse(viewer).get(f"/plans/{query}").context["requests"]
        assert [row.deployment_name for row in rows] == names

    def test_needs_no_more_queries_for_more_plans(
        self, browse: Any, viewer: User, make_plan_request: MakePlanRequest, django_assert_num_queries: Any
    ) -> None:
        for number in range(5):
            make_plan_request(PlanState.PRICED, deployment_name=f"chat-{number}")
        client = browse(viewer)
        with django_assert_num_queries(3):
            client.get("/plans/")


class TestPlan:
    def _show(self, client: Client, row: PlanRequest) -> str:
        response = client.get(f"/plans/{row.pk}/")
        assert response.status_code == 200
        return response.content.decode()

    def test_shows_machines_replicas_and_prediction(self, browse: Any, viewer: User, awaiting: PlanRequest) -> None:
        text = self._show(browse(viewer), awaiting)
        for words in ("1 × p5.48xlarge", "$40.00", "400 ms", "24 ms", "$9.92", "128→64", "100 %", "± 30 %"):
            assert words in text

    def test_shows_the_proof_in_words(
        self, browse: Any, viewer: User, make_plan_request: MakePlanRequest, make_plan: MakePlan
    ) -> None:
        row = BindingRow(
            row="budget", slack=0, shadow_price=1, unit="", step=1, gain=2, text="1.00 USD/h more budget would help"
        )
        plan = make_plan()
        plan = replace(
            plan,
            report=replace(plan.report, status=SolveStatus.FEASIBLE, gap=0.021, best_bound=10.2, binding=(row,)),
            baselines=(
                Baseline(
                    name="best single GPU type", detail="L4", requests_per_s=8.0, usd_per_hour=30.0, is_feasible=True
                ),
                Baseline(name="round robin", detail="", requests_per_s=0.0, usd_per_hour=0.0, is_feasible=False),
            ),
        )
        text = self._show(browse(viewer), make_plan_request(PlanState.AWAITING_APPROVAL, plan=plan))
        for words in ("A limit was reached", "2.1 %", "10.2 requests/s", "1.00 USD/h more budget", "−20 %", "cannot"):
            assert words in text

    def test_shows_how_far_a_solve_is(self, browse: Any, viewer: User, make_plan_request: MakePlanRequest) -> None:
        row = make_plan_request(PlanState.SOLVING)
        progress = {"phase": "solve", "fraction": 0.4, "text": "Solving"}
        PlanRequest.objects.filter(pk=row.pk).update(progress=progress)
        text = self._show(browse(viewer), row)
        assert 'aria-valuenow="40"' in text
        assert f'data-live="plan-request:{row.pk}"' in text

    def test_names_what_would_make_it_feasible(
        self, browse: Any, viewer: User, make_plan_request: MakePlanRequest, make_plan: MakePlan
    ) -> None:
        plan = make_plan()
        reason = InfeasibleReason(kind="budget", subject="", value=1.85, text="the smallest budget is 1.85 USD/h")
        report = replace(plan.report, status=SolveStatus.INFEASIBLE, reasons=(reason,), objective=None, gap=None)
        plan = replace(plan, machines=(), replicas=(), usd_per_hour=0.0, prediction=None, report=report)
        row = make_plan_request(PlanState.INFEASIBLE, plan=plan)
        assert "The smallest budget is 1.85 USD/h" in self._show(browse(viewer), row)

    @pytest.mark.parametrize("state", [state for state in PlanState if state != PlanState.INFEASIBLE])
    def test_can_be_shown_in_every_state(
        self, browse: Any, admin: User, make_plan_request: MakePlanRequest, state: PlanState
    ) -> None:
        assert state.label in self._show(browse(admin), make_plan_request(state))

    def test_compares_with_what_runs(
        self, browse: Any, viewer: User, deployment: object, awaiting: PlanRequest
    ) -> None:
        view = browse(viewer).get(f"/plans/{awaiting.pk}/").context["view"]
        assert [(item.before, item.after) for item in view.difference.machines] == [(1, 1)]
        assert view.difference.is_same_fleet

    def test_tells_its_history(self, browse: Any, viewer: User, awaiting: PlanRequest) -> None:
        entries = browse(viewer).get(f"/plans/{awaiting.pk}/").context["timeline"]
        assert [(entry.title, entry.actor) for entry in entries] == [
            ("Priced", ""),
            ("Solving", "author"),
            ("Asked for", "author"),
        ]

    def test_gives_its_instance(self, browse: Any, viewer: User, awaiting: PlanRequest) -> None:
        response = browse(viewer).get(f"/plans/{awaiting.pk}/instance.json")
        assert response.json() == {"name": "test"}
        assert "attachment" in response.headers["Content-Disposition"]

    @pytest.mark.parametrize("path", ["/plans/99/", "/plans/99/instance.json"])
    def test_is_not_found_under_another_id(self, browse: Any, viewer: User, path: str) -> None:
        response = browse(viewer).get(path)
        assert response.status_code == 404
        assert "There is no plan request 99" in response.content.decode()


class TestSolveAgain:
    def test_starts_a_solve(self, browse: Any, planner: User, awaiting: PlanRequest) -> None:
        response = browse(planner).post(f"/plans/{awaiting.pk}/solve/", follow=True)
        awaiting.refresh_from_db()
        assert awaiting.state == "solving"
        assert "Solving with the market as it is now." in response.content.decode()

    def test_says_why_not_and_changes_nothing(
        self, browse: Any, planner: User, make_plan_request: MakePlanRequest
    ) -> None:
        row = make_plan_request(PlanState.LIVE)
        before = AuditEntry.objects.count()
        response = browse(planner).post(f"/plans/{row.pk}/solve/", follow=True)
        assert "is live, so it cannot become solving." in response.content.decode()
        assert AuditEntry.objects.count() == before
