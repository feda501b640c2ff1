"""Reading models, workloads, plan requests and plans."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet

from engine.domain import plan as engine_plan
from engine.domain.slo import Slo
from engine.domain.workload import Workload
from webapp.core.errors import NotFoundError
from webapp.planning import mapping, states
from webapp.planning.difference import PlanDifference, compare_plans
from webapp.planning.models import Plan, PlanRequest, PlanState, ServedModel, WorkloadProfile

# An earlier plan stays readable while the request is solved again, but it is not what will be decided.
_WITHOUT_CURRENT_PLAN = frozenset({PlanState.DRAFT, PlanState.SOLVING, PlanState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequestSummary:
    """One plan request in a list.

    Attributes:
        usd_per_hour: cost of the plan [USD/h]; None without one.
    """

    id: int
    deployment_name: str
    author: str
    state: PlanState
    state_reason: str
    objective: str
    budget_usd_per_hour: Decimal
    model_slug: str
    model_name: str
    workload_slug: str
    workload_name: str
    usd_per_hour: Decimal | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a solve is; `fraction` 0..1."""

    phase: str
    fraction: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedOffer:
    """An offer as the plan was priced with it."""

    offer_id: str
    provider: str
    region: str
    zone: str
    instance_type: str
    gpu_name: str
    gpu_count: int
    market: str
    usd_per_hour: Decimal
    available_count: int | None
    observed_at: datetime
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """Everything about one plan request.

    Attributes:
        workload: classes and the rate that was asked for.
        plan_id: identity of the answer, another one after every solve; plan: the answer. None before the first.
        is_plan_current: whether `plan` answers the request as it stands, and not an earlier solve.
        offers: offer id -> the offers the plan uses.
        difference: against the plan that runs; None without a plan.
        can_solve: whether a solve may be started now.
    """

    summary: PlanRequestSummary
    workload: Workload
    slo: Slo
    allowed_providers: tuple[str, ...]
    allowed_regions: tuple[str, ...]
    allows_spot: bool
    default_available_count: int
    progress: Progress | None
    market_as_of: datetime | None
    plan_id: int | None
    plan: engine_plan.Plan | None
    is_plan_current: bool
    offers: Mapping[str, UsedOffer]
    difference: PlanDifference | None
    can_solve: bool


def list_models() -> list[ServedModel]:
    """Return every model that can be planned, presets first."""
    return list(ServedModel.objects.select_related("created_by").order_by("-is_preset", "slug"))


def list_workloads() -> list[WorkloadProfile]:
    """Return every workload, presets first."""
    return list(WorkloadProfile.objects.select_related("created_by").order_by("-is_preset", "slug"))


def list_plan_requests(
    *, states: Collection[PlanState] = (), deployment_name: str = "", limit: int = 200
) -> list[PlanRequestSummary]:
    """Return plan requests, newest first.

    Args:
        states, deployment_name: only these; empty means all.
        limit: most that come.
    """
    rows = _list_rows().defer("plan__body", "plan__instance", "plan__offers")
    if states:
        rows = rows.filter(state__in=states)
    if deployment_name:
        rows = rows.filter(deployment_name=deployment_name)
    return [_row_to_summary(row) for row in rows.order_by("-created_at", "-pk")[:limit]]


def get_plan_request(*, pk: int) -> PlanRequest:
    """Return one row with author, model, workload and plan.

    Raises:
        NotFoundError: there is no such plan request.
    """
    row = _list_rows().filter(pk=pk).first()
    if row is None:
        raise NotFoundError(f"there is no plan request {pk}", field="plan_request_id")
    return row


def get_plan_view(*, pk: int, running_plan: engine_plan.Plan | None = None) -> PlanView:
    """Return everything about one plan request.

    Args:
        running_plan: what the deployment runs now; the plan is shown as a difference to it.
    Raises:
        NotFoundError: there is no such plan request.
    """
    row = get_plan_request(pk=pk)
    stored = _find_stored_plan(row)
    plan = None if stored is None else mapping.json_to_plan(stored.body)
    state = PlanState(row.state)
    return PlanView(
        summary=_row_to_summary(row),
        workload=mapping.row_to_workload(row.workload, model_id=row.model.slug, requests_per_s=row.requests_per_s),
        slo=mapping.row_to_slo(row),
        allowed_providers=tuple(row.allowed_providers),
        allowed_regions=tuple(row.allowed_regions),
        allows_spot=row.allows_spot,
        default_available_count=row.default_available_count,
        progress=_read_progress(row),
        market_as_of=row.market_as_of,
        plan_id=None if stored is None else stored.pk,
        plan=plan,
        is_plan_current=plan is not None and state not in _WITHOUT_CURRENT_PLAN,
        offers={} if stored is None else _read_offers(stored),
        difference=None if plan is None else compare_plans(running=running_plan, planned=plan),
        can_solve=state in states.SOLVABLE,
    )


def find_plan(*, request_id: int) -> engine_plan.Plan | None:
    """Return the plan that answers a request, or None."""
    stored = Plan.objects.filter(request=request_id).first()
    return None if stored is None else mapping.json_to_plan(stored.body)


def get_instance(*, pk: int) -> dict[str, object]:
    """Return the instance file behind a plan, as `medley solve` reads it.

    Raises:
        NotFoundError: there is no such plan request, or it has no plan yet.
    """
    stored = _find_stored_plan(get_plan_request(pk=pk))
    if stored is None:
        raise NotFoundError(
            f"plan request {pk} has no plan yet", field="plan_request_id", remedy="wait until it is solved"
        )
    return dict(stored.instance)


def list_unchecked_ids(*, before: datetime) -> list[int]:
    """Return priced requests that no policy check has reached since `before`: its worker died."""
    rows = PlanRequest.objects.filter(state=PlanState.PRICED, updated_at__lte=before)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _list_rows() -> QuerySet[PlanRequest]:
    return PlanRequest.objects.select_related("author", "model", "workload", "plan")


def _find_stored_plan(row: PlanRequest) -> Plan | None:
    return getattr(row, "plan", None)  # Django raises where a one-to-one row is missing


def _row_to_summary(row: PlanRequest) -> PlanRequestSummary:
    stored = _find_stored_plan(row)
    return PlanRequestSummary(
        id=row.pk,
        deployment_name=row.deployment_name,
        author=row.author.get_username(),
        state=PlanState(row.state),
        state_reason=row.state_reason,
        objective=row.objective,
        budget_usd_per_hour=row.budget_usd_per_hour,
        model_slug=row.model.slug,
        model_name=row.model.name,
        workload_slug=row.workload.slug,
        workload_name=row.workload.name,
        usd_per_hour=None if stored is None else stored.usd_per_hour,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _read_progress(row: PlanRequest) -> Progress | None:
    data = row.progress
    if row.state != PlanState.SOLVING or not data:
        return None
    return Progress(phase=str(data["phase"]), fraction=float(data["fraction"]), text=str(data["text"]))


def _read_offers(stored: Plan) -> dict[str, UsedOffer]:
    return {offer_id: _read_offer(offer_id, data) for offer_id, data in stored.offers.items()}


def _read_offer(offer_id: str, data: Mapping[str, object]) -> UsedOffer:
    available_count = data["available_count"]
    return UsedOffer(
        offer_id=offer_id,
        provider=str(data["provider"]),
        region=str(data["region"]),
        zone=str(data["zone"]),
        instance_type=str(data["instance_type"]),
        gpu_name=str(data["gpu_name"]),
        gpu_count=int(str(data["gpu_count"])),
        market=str(data["market"]),
        usd_per_hour=mapping.read_offer_price(data),
        available_count=None if available_count is None else int(str(available_count)),
        observed_at=mapping.read_offer_instant(data),
        source=str(data["source"]),
    )
