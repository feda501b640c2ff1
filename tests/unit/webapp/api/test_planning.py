"""REST of planning: every kind of actor, strict input, and the plan as programs read it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from django.http import HttpResponse

from engine.domain.plan import Baseline, BindingRow, InfeasibleReason, Plan, SolveStatus
from webapp.core.models import AuditEntry, Event, User
from webapp.planning import solving
from webapp.planning.models import PlanRequest, PlanState, ServedModel, WorkloadProfile

MakePlan = Callable[..., Plan]
MakePlanRequest = Callable[..., PlanRequest]
Call = Callable[..., HttpResponse]

H100_OFFER = "aws:us-east-1:p5.48xlarge:on_demand"
_ROLES = ("viewer", "planner", "approver", "admin")
_CREATORS = ("planner", "admin")
_TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,100,10\n2023-11-16 18:15:48,100,10\n"


def _take(found: list[dict[str, object]]) -> Callable[..., None]:
    def send(_name: str, **kwargs: object) -> None:
        del kwargs["queue"]
        found.append(kwargs)

    return send


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Collect what solves are queued."""
    found: list[dict[str, object]] = []
    monkeypatch.setattr(solving, "send_task", _take(found))
    return found


@pytest.fixture
def body(market: object, served_model: ServedModel, workload: WorkloadProfile) -> dict[str, object]:
    """A plan request that can be planned."""
    return {
        "deployment_name": "chat",
        "objective": "max_rate",
        "budget_usd_per_hour": 30.5,
        "model_slug": "llama-8b",
        "workload_slug": "mix",
        "slo_ttft_s": 2,
        "slo_tpot_s": 0.1,
        "allowed_providers": ["aws"],
    }


def _count_rows() -> tuple[int, ...]:
    written = AuditEntry.objects.exclude(action="api-token.create")
    kept = (PlanRequest, ServedModel, WorkloadProfile, Event)
    return (written.count(), *(kind.objects.count() for kind in kept))


class TestPermissions:
    """The calls..."""

    @pytest.mark.parametrize("role", [*_ROLES, None])
    @pytest.mark.parametrize(
        "path", ["/models", "/workloads", "/plan-requests", "/plan-requests/{pk}", "/plan-requests/{pk}/instance"]
    )
    def test_show_planning_to_every_role_but_not_to_strangers(
        self,
        call: Call,
        make_plan_request: MakePlanRequest,
        role: str | None,
        path: str,
        request: pytest.FixtureRequest,
    ) -> None:
        user = None if role is None else request.getfixturevalue(role)
        pk = make_plan_request(PlanState.PRICED).pk
        assert call(user, path.format(pk=pk)).status_code == (401 if user is None else 200)

    @pytest.mark.parametrize("role", [*_ROLES, None])
    @pytest.mark.parametrize("path", ["/models", "/workloads", "/plan-requests", "/plan-requests/{pk}/solve"])
    def test_let_planners_and_admins_write_and_change_nothing_for_others(
        self,
        call: Call,
        make_plan_request: MakePlanRequest,
        body: dict[str, object],
        sent: list[dict[str, object]],
        role: str | None,
        path: str,
        request: pytest.FixtureRequest,
    ) -> None:
        user = None if role is None else request.getfixturevalue(role)
        pk = make_plan_request().pk
        bodies = {
            "/models": {"slug": "mine", "name": "Mine", "config": ServedModel.objects.get().config},
            "/workloads": {"slug": "mine", "name": "Mine", "csv_text": _TRACE},
            "/plan-requests": body,
        }
        before = _count_rows()
        response = call(user, path.format(pk=pk), bodies.get(path, {}))
        if role in _CREATORS:
            assert response.status_code in (201, 202)
            assert _count_rows() != before
            return
        assert response.status_code == (401 if user is None else 403)
        assert (_count_rows(), sent) == (before, [])
        assert PlanRequest.objects.get(pk=pk).state == PlanState.DRAFT


class TestModels:
    """`/models`..."""

    def test_lists_models_with_where_their_weights_are(
        self, call: Call, viewer: User, served_model: ServedModel, now: datetime
    ) -> None:
        ServedModel.objects.create(
            slug="demo", name="Demo", config={}, is_preset=True, weights_path="/models/demo", created_at=now
        )
        found = call(viewer, "/models").json()
        assert [(item["slug"], item["is_preset"], item["is_local"]) for item in found] == [
            ("demo", True, True),
            ("llama-8b", False, False),
        ]

    def test_names_the_key_that_a_config_misses(self, call: Call, planner: User, served_model: ServedModel) -> None:
        config = {key: value for key, value in served_model.config.items() if key != "vocab_size"}
        response = call(planner, "/models", {"slug": "mine", "name": "Mine", "config": config})
        assert response.status_code == 422
        error = response.json()["error"]
        assert (error["code"], error["field"]) == ("invalid_model_config", "vocab_size")
        assert ServedModel.objects.count() == 1

    def test_stores_a_config(self, call: Call, planner: User, served_model: ServedModel) -> None:
        response = call(planner, "/models", {"slug": "mine", "name": "Mine", "config": served_model.config})
        assert (response.status_code, response.json()["slug"], response.json()["is_local"]) == (201, "mine", False)
        assert ServedModel.objects.get(slug="mine").created_by == planner


class TestWorkloads:
    """`/workloads`..."""

    def test_stores_a_trace_as_request_classes(self, call: Call, planner: User) -> None:
        response = call(planner, "/workloads", {"slug": "mine", "name": "Mine", "csv_text": _TRACE, "num_classes": 4})
        assert response.status_code == 201
        found = response.json()
        assert (found["requests_per_s"], found["num_requests"], found["arrival"]) == (0.5, 2, "trace")
        assert found["classes"] == [{"id": "p100-o10", "prompt_tokens": 100, "output_tokens": 10, "share": 1.0}]
        assert call(planner, "/workloads").json() == [found]

    def test_names_the_column_that_cannot_be_read(self, call: Call, planner: User) -> None:
        response = call(planner, "/workloads", {"slug": "a", "name": "A", "csv_text": _TRACE + "now,1,1\n"})
        assert response.status_code == 422
        assert response.json()["error"]["field"] == "TIMESTAMP"
        assert "row 4" in response.json()["error"]["message"]
        assert WorkloadProfile.objects.count() == 0

    @pytest.mark.slow
    def test_takes_a_trace_of_many_megabytes(self, call: Call, planner: User) -> None:
        rows = "2023-11-16 18:15:46.6805900,374,44\n" * 100_000
        text = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows
        assert len(text) > 3_000_000
        response = call(planner, "/workloads", {"slug": "big", "name": "Big", "csv_text": text})
        assert (response.status_code, response.json()["num_requests"]) == (201, 100_000)


class TestCreatePlanRequest:
    """`POST /plan-requests`..."""

    def test_stores_what_was_asked_and_starts_solving(
        self, call: Call, planner: User, body: dict[str, object], sent: list[dict[str, object]]
    ) -> None:
        response = call(planner, "/plan-requests", body)
        assert response.status_code == 201
        found = response.json()
        row = PlanRequest.objects.get()
        assert (found["id"], found["state"], found["author"]) == (row.pk, "solving", "planner")
        assert (found["budget_usd_per_hour"], found["requests_per_s"]) == (30.5, 2.0)
        assert found["slo"] == {"ttft_s": 2.0, "tpot_s": 0.1, "e2e_s": None, "percentile": 90.0}
        assert (found["allowed_providers"], found["allows_spot"]) == (["aws"], True)
        assert found["progress"] == {"phase": "queued", "fraction": 0.0, "text": "Waiting for a solver"}
        assert [found[name] for name in ("plan", "difference", "decision", "usd_per_hour")] == [None] * 4
        assert sent == [{"plan_request_id": row.pk, "solve_token": row.solve_token}]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("deployment_name", "Not A Name"),
            ("objective", "fastest"),
            ("budget_usd_per_hour", 0),
            ("budget_usd_per_hour", "cheap"),
            ("budget_usd_per_hour", 1.00001),
            ("model_slug", "unknown"),
            ("workload_slug", "unknown"),
            ("requests_per_s", "2"),
            ("slo_ttft_s", -1),
            ("slo_percentile", 20),
            ("allowed_providers", ["gcp"]),
            ("allowed_regions", ["moon-1"]),
            ("allows_spot", "yes"),
            ("default_available_count", 1.5),
            ("spot_only", True),
        ],
    )
    def test_names_the_field_that_cannot_be_used_and_stores_nothing(
        self, call: Call, planner: User, body: dict[str, object], sent: list[object], field: str, value: object
    ) -> None:
        response = call(planner, "/plan-requests", {**body, field: value})
        assert response.status_code == 422
        assert response.json()["error"]["field"].split(".")[-1] == field
        assert (PlanRequest.objects.count(), sent) == (0, [])

    def test_names_a_field_that_is_missing(self, call: Call, planner: User, body: dict[str, object]) -> None:
        del body["model_slug"]
        response = call(planner, "/plan-requests", body)
        assert (response.status_code, response.json()["error"]["field"]) == (422, "model_slug")


class TestListPlanRequests:
    """`GET /plan-requests`..."""

    def test_filters_by_state_and_deployment(
        self, call: Call, viewer: User, make_plan_request: MakePlanRequest
    ) -> None:
        draft, priced = make_plan_request(), make_plan_request(PlanState.PRICED, deployment_name="other")
        assert [item["id"] for item in call(viewer, "/plan-requests").json()] == [priced.pk, draft.pk]
        (found,) = call(viewer, "/plan-requests?state=priced").json()
        assert (found["id"], found["usd_per_hour"], found["model_name"]) == (priced.pk, 40.0, "Llama 8B")
        assert [item["id"] for item in call(viewer, "/plan-requests?deployment_name=chat").json()] == [draft.pk]
        assert len(call(viewer, "/plan-requests?limit=1").json()) == 1

    @pytest.mark.parametrize("query", ["state=new", "limit=0", "limit=many"])
    def test_refuses_values_it_does_not_know(self, call: Call, viewer: User, query: str) -> None:
        assert call(viewer, f"/plan-requests?{query}").status_code == 422


class TestGetPlanRequest:
    """`GET /plan-requests/{id}`..."""

    def test_holds_machines_replicas_and_prediction(
        self, call: Call, viewer: User, make_plan_request: MakePlanRequest
    ) -> None:
        request = make_plan_request(PlanState.PRICED)
        found = call(viewer, f"/plan-requests/{request.pk}").json()
        plan = found["plan"]
        assert plan["machines"] == [{"id": "m1", "offer_id": H100_OFFER, "usd_per_hour": 40.0}]
        (replica,) = plan["replicas"]
        assert (replica["tensor_parallel"], replica["pipeline_parallel"], replica["phase"]) == (8, 1, "mixed")
        assert replica["stages"] == [
            {"machine_id": "m1", "offer_id": H100_OFFER, "gpu_name": "H100", "tensor_parallel": 8, "num_layers": 32}
        ]
        assert replica["shares"] == {"p128-o64": 1.0, "p1024-o256": 1.0}
        assert plan["prediction"]["ttft_slo_s"] == 0.4
        assert [item["id"] for item in found["classes"]] == ["p128-o64", "p1024-o256"]
        (offer,) = found["offers"]
        assert (offer["provider"], offer["gpu_name"], offer["usd_per_hour"]) == ("aws", "H100", 40.0)
        assert offer["observed_at"] == "2026-11-24T10:00:00Z"
        assert (found["is_plan_current"], found["can_solve"], found["usd_per_hour"]) == (True, False, 40.0)
        assert found["plan_id"] == request.plan.pk

    def test_holds_the_proof_and_the_plans_beside_it(
        self, call: Call, viewer: User, make_plan_request: MakePlanRequest, make_plan: MakePlan
    ) -> None:
        plan = make_plan()
        binding = (
            BindingRow(row="budget", slack=0.0, shadow_price=0.25, unit="requests/s", step=4.0, gain=1.0, text="so"),
        )
        baseline = Baseline(name="single_type", detail="H100", requests_per_s=9.0, usd_per_hour=40.0, is_feasible=True)
        plan = replace(plan, baselines=(baseline,), report=replace(plan.report, binding=binding, notes=("a note",)))
        request = make_plan_request(PlanState.PRICED, plan=plan)
        found = call(viewer, f"/plan-requests/{request.pk}").json()["plan"]
        assert found["report"] == {
            "status": "optimal",
            "solver": "highs",
            "objective": 10.0,
            "best_bound": 10.0,
            "gap": 0.0,
            "runtime_s": 0.5,
            "binding": [
                {
                    "row": "budget",
                    "slack": 0.0,
                    "shadow_price": 0.25,
                    "unit": "requests/s",
                    "step": 4,
                    "gain": 1,
                    "text": "so",
                }
            ],
            "reasons": [],
            "dropped": {"memory": 3},
            "notes": ["a note"],
        }
        assert found["baselines"] == [
            {"name": "single_type", "detail": "H100", "requests_per_s": 9.0, "usd_per_hour": 40.0, "is_feasible": True}
        ]

    def test_says_what_would_make_it_feasible(
        self, call: Call, viewer: User, make_plan_request: MakePlanRequest, make_plan: MakePlan
    ) -> None:
        plan = make_plan([], prediction=None)
        reason = InfeasibleReason(kind="budget", subject="", value=40.0, text="40.00 USD/h would do.")
        report = replace(plan.report, status=SolveStatus.INFEASIBLE, objective=None, reasons=(reason,))
        request = make_plan_request(PlanState.INFEASIBLE, plan=replace(plan, report=report))
        found = call(viewer, f"/plan-requests/{request.pk}").json()
        assert (found["state"], found["state_reason"]) == ("infeasible", "40.00 USD/h would do.")
        assert found["plan"]["report"]["reasons"][0]["value"] == 40.0
        assert (found["plan"]["prediction"], found["plan"]["machines"], found["can_solve"]) == (None, [], True)

    def test_calls_everything_new_when_nothing_runs(
        self, call: Call, viewer: User, make_plan_request: MakePlanRequest
    ) -> None:
        found = call(viewer, f"/plan-requests/{make_plan_request(PlanState.PRICED).pk}").json()["difference"]
        assert found["machines"] == [{"id": H100_OFFER, "before": 0, "after": 1, "change": 1}]
        assert found["usd_per_hour"] == {"before": None, "after": 40.0, "change": None}
        assert not found["is_same_fleet"]

    @pytest.mark.parametrize("path", ["/plan-requests/77", "/plan-requests/77/instance"])
    def test_answers_404_for_what_is_not_there(self, call: Call, viewer: User, path: str) -> None:
        response = call(viewer, path)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


class TestSolve:
    """`POST /plan-requests/{id}/solve`..."""

    def test_starts_a_new_solve(
        self, call: Call, planner: User, make_plan_request: MakePlanRequest, sent: list[dict[str, object]]
    ) -> None:
        request = make_plan_request(PlanState.STALE)
        sent.clear()
        response = call(planner, f"/plan-requests/{request.pk}/solve", {})
        request.refresh_from_db()
        assert (response.status_code, response.json()["state"], request.state) == (202, "solving", "solving")
        assert not response.json()["is_plan_current"]
        assert sent == [{"plan_request_id": request.pk, "solve_token": request.solve_token}]

    def test_refuses_a_live_plan(self, call: Call, planner: User, make_plan_request: MakePlanRequest) -> None:
        request = make_plan_request(PlanState.LIVE)
        response = call(planner, f"/plan-requests/{request.pk}/solve", {})
        assert (response.status_code, response.json()["error"]["code"]) == (409, "illegal_transition")
        request.refresh_from_db()
        assert request.state == PlanState.LIVE


class TestInstance:
    """`GET /plan-requests/{id}/instance`..."""

    def test_gives_the_file_as_it_was_solved(
        self, call: Call, viewer: User, make_plan_request: MakePlanRequest
    ) -> None:
        request = make_plan_request(PlanState.PRICED)
        assert call(viewer, f"/plan-requests/{request.pk}/instance").json() == {"name": "test"}

    def test_is_not_there_before_the_solve(self, call: Call, viewer: User, make_plan_request: MakePlanRequest) -> None:
        response = call(viewer, f"/plan-requests/{make_plan_request().pk}/instance")
        assert response.status_code == 404
        assert response.json()["error"]["remedy"] == "wait until it is solved"
