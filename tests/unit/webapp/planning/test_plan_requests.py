"""Asking for a plan."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from engine.errors import InvalidInputError
from webapp.core.models import AuditEntry, Event, User
from webapp.planning import services
from webapp.planning.models import PlanRequest, PlanState, ServedModel, WorkloadProfile
from webapp.planning.plan_requests import PlanRequestSpec


@pytest.fixture
def create(
    market: object,
    served_model: ServedModel,
    workload: WorkloadProfile,
    author: User,
    spec: PlanRequestSpec,
    now: datetime,
) -> Callable[..., PlanRequest]:
    """Create a request that differs from `spec` in some fields."""

    def call(**changes: object) -> PlanRequest:
        return services.create_plan_request(actor=author, spec=replace(spec, **changes), now=now)

    return call


class TestCreatePlanRequest:
    """`create_plan_request`..."""

    def test_stores_a_draft_of_the_author(
        self, create: Callable[..., PlanRequest], author: User, served_model: ServedModel, now: datetime
    ) -> None:
        row = create(allowed_providers=("runpod", "aws", "aws"), budget_usd_per_hour=Decimal("30.25"))
        row.refresh_from_db()
        assert (row.state, row.author, row.model, row.created_at) == (PlanState.DRAFT, author, served_model, now)
        assert row.budget_usd_per_hour == Decimal("30.25")
        assert row.allowed_providers == ["aws", "runpod"]
        assert (row.slo_ttft_s, row.slo_tpot_s, row.slo_e2e_s, row.slo_percentile) == (2.0, 0.1, None, 90.0)

    def test_writes_an_audit_row_and_an_event(self, create: Callable[..., PlanRequest], author: User) -> None:
        Event.objects.all().delete()
        row = create()
        entry = AuditEntry.objects.get(action="plan-request.create")
        assert (entry.actor, entry.object_id) == (author, str(row.pk))
        assert entry.detail == {"deployment": "chat", "budget_usd_per_hour": "100"}
        event = Event.objects.get()
        assert (event.topic, event.payload) == ("plan-requests", {"id": row.pk, "state": "draft"})

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("deployment_name", "", "cannot be the name"),
            ("deployment_name", "Chat", "cannot be the name"),
            ("deployment_name", "-chat", "cannot be the name"),
            ("deployment_name", "a" * 49, "cannot be the name"),
            ("objective", "fastest", "not known"),
            ("budget_usd_per_hour", Decimal(0), "not a budget"),
            ("budget_usd_per_hour", Decimal("-1"), "not a budget"),
            ("budget_usd_per_hour", Decimal("NaN"), "not a budget"),
            ("budget_usd_per_hour", Decimal("Infinity"), "not a budget"),
            ("budget_usd_per_hour", Decimal("1000001"), "not a budget"),
            ("budget_usd_per_hour", Decimal("1.00001"), "too many decimals"),
            ("model_slug", "gpt-9", "give one of llama-8b"),
            ("workload_slug", "poems", "give one of mix"),
            ("requests_per_s", 0.0, "cannot be used"),
            ("requests_per_s", float("nan"), "cannot be used"),
            ("requests_per_s", 1e7, "cannot be used"),
            ("slo_ttft_s", 0.0, "cannot be used"),
            ("slo_tpot_s", -0.1, "cannot be used"),
            ("slo_e2e_s", float("inf"), "cannot be used"),
            ("slo_percentile", 49.9, "outside 50..100"),
            ("slo_percentile", float("nan"), "outside 50..100"),
            ("allowed_providers", ("gcp",), "no offer of 'gcp'"),
            ("allowed_regions", ("moon-1",), "no offer of 'moon-1'"),
            ("default_available_count", 0, "outside 1..10000"),
        ],
    )
    def test_names_the_field_that_cannot_be_used_and_stores_nothing(
        self, create: Callable[..., PlanRequest], field: str, value: object, words: str
    ) -> None:
        with pytest.raises(InvalidInputError) as caught:
            create(**{field: value})
        assert caught.value.field == field
        assert words in f"{caught.value.message} {caught.value.remedy}"
        assert PlanRequest.objects.count() == 0
        assert not AuditEntry.objects.filter(action="plan-request.create").exists()

    def test_wants_a_rate_for_the_least_cost_of_a_workload_without_one(
        self, create: Callable[..., PlanRequest], workload: WorkloadProfile
    ) -> None:
        WorkloadProfile.objects.update(requests_per_s=0.0)
        with pytest.raises(InvalidInputError, match="has no rate of its own"):
            create(objective="min_cost")
        assert create(objective="min_cost", requests_per_s=3.0).requests_per_s == 3.0
        assert create(objective="max_rate").requests_per_s is None

    def test_refuses_limits_that_leave_no_offer(self, create: Callable[..., PlanRequest]) -> None:
        with pytest.raises(InvalidInputError, match="no offer is left") as caught:
            create(allowed_providers=("runpod",), allows_spot=False)
        assert caught.value.field == "allowed_providers"

    def test_keeps_cloud_models_off_this_host(self, create: Callable[..., PlanRequest]) -> None:
        with pytest.raises(InvalidInputError, match="not on this host"):
            create(allowed_providers=("local",))

    def test_keeps_local_models_on_this_host(self, create: Callable[..., PlanRequest]) -> None:
        ServedModel.objects.update(weights_path="/models/demo")
        with pytest.raises(InvalidInputError, match="on this host only"):
            create(allowed_providers=("aws",))
        assert create(allowed_providers=("local",)).allowed_providers == ["local"]
