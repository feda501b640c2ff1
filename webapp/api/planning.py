"""REST: models and workloads to plan with, plan requests and their plans."""

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from webapp.api.auth import get_actor
from webapp.api.schemas_planning import (
    ModelIn,
    ModelOut,
    PlanRequestDetailOut,
    PlanRequestIn,
    PlanRequestOut,
    PlanRequestQuery,
    WorkloadIn,
    WorkloadOut,
    view_to_fields,
)
from webapp.approvals import selectors as approval_selectors
from webapp.core.permissions import PLANNING_CREATE, PLANNING_VIEW, require
from webapp.deployments import selectors as deployment_selectors
from webapp.planning import selectors, services
from webapp.planning.models import ServedModel, WorkloadProfile

router = Router(tags=["planning"])


@router.get("/models", response=list[ModelOut])
def list_models(request: HttpRequest) -> list[ServedModel]:
    """List the models that can be planned."""
    require(get_actor(request), PLANNING_VIEW)
    return selectors.list_models()


@router.post("/models", response={201: ModelOut})
def upload_model(request: HttpRequest, body: ModelIn) -> Status[ServedModel]:
    """Store a model from its `config.json`; an incomplete one is refused with the missing field's name."""
    actor = get_actor(request)
    require(actor, PLANNING_CREATE)
    model = services.upload_model(actor=actor, slug=body.slug, name=body.name, config=body.config, now=timezone.now())
    return Status(201, model)


@router.get("/workloads", response=list[WorkloadOut])
def list_workloads(request: HttpRequest) -> list[WorkloadProfile]:
    """List the workloads."""
    require(get_actor(request), PLANNING_VIEW)
    return selectors.list_workloads()


@router.post("/workloads", response={201: WorkloadOut})
def upload_trace(request: HttpRequest, body: WorkloadIn) -> Status[WorkloadProfile]:
    """Store a workload from a trace: request classes by clustering, the rate from timestamps."""
    actor = get_actor(request)
    require(actor, PLANNING_CREATE)
    workload = services.upload_trace(
        actor=actor,
        slug=body.slug,
        name=body.name,
        csv_text=body.csv_text,
        num_classes=body.num_classes,
        now=timezone.now(),
    )
    return Status(201, workload)


@router.get("/plan-requests", response=list[PlanRequestOut])
def list_plan_requests(request: HttpRequest, query: Query[PlanRequestQuery]) -> list[selectors.PlanRequestSummary]:
    """List plan requests, newest first."""
    require(get_actor(request), PLANNING_VIEW)
    return selectors.list_plan_requests(
        states=() if query.state is None else (query.state,),
        deployment_name=query.deployment_name,
        limit=query.limit,
    )


@router.post("/plan-requests", response={201: PlanRequestDetailOut})
def create_plan_request(request: HttpRequest, body: PlanRequestIn) -> Status[dict[str, object]]:
    """Ask for a plan and start solving it."""
    actor = get_actor(request)
    require(actor, PLANNING_CREATE)
    row = services.request_plan(actor=actor, spec=_body_to_spec(body), now=timezone.now())
    return Status(201, _get_detail(row.pk))


def _body_to_spec(body: PlanRequestIn) -> services.PlanRequestSpec:
    return services.PlanRequestSpec(
        deployment_name=body.deployment_name,
        objective=body.objective,
        budget_usd_per_hour=body.budget_usd_per_hour,
        model_slug=body.model_slug,
        workload_slug=body.workload_slug,
        requests_per_s=body.requests_per_s,
        slo_ttft_s=body.slo_ttft_s,
        slo_tpot_s=body.slo_tpot_s,
        slo_e2e_s=body.slo_e2e_s,
        slo_percentile=body.slo_percentile,
        allowed_providers=tuple(body.allowed_providers),
        allowed_regions=tuple(body.allowed_regions),
        allows_spot=body.allows_spot,
        default_available_count=body.default_available_count,
    )


@router.get("/plan-requests/{int:plan_request_id}", response=PlanRequestDetailOut)
def get_plan_request(request: HttpRequest, plan_request_id: int) -> dict[str, object]:
    """Return a plan request with its plan, what it changes, and the decision."""
    require(get_actor(request), PLANNING_VIEW)
    return _get_detail(plan_request_id)


def _get_detail(plan_request_id: int) -> dict[str, object]:
    row = selectors.get_plan_request(pk=plan_request_id)
    running_plan = deployment_selectors.find_running_plan(deployment_name=row.deployment_name)
    view = selectors.get_plan_view(pk=plan_request_id, running_plan=running_plan)
    decision = approval_selectors.find_decision(plan_request_id=plan_request_id)
    return {**view_to_fields(view), "decision": decision}


@router.post("/plan-requests/{int:plan_request_id}/solve", response={202: PlanRequestDetailOut})
def solve(request: HttpRequest, plan_request_id: int) -> Status[dict[str, object]]:
    """Solve a plan request again, with the market as it is now."""
    actor = get_actor(request)
    require(actor, PLANNING_CREATE)
    services.start_solve(actor=actor, plan_request_id=plan_request_id, now=timezone.now())
    return Status(202, _get_detail(plan_request_id))


@router.get("/plan-requests/{int:plan_request_id}/instance", response=dict[str, object])
def get_instance(request: HttpRequest, plan_request_id: int) -> dict[str, object]:
    """Return the instance file behind a plan, as `medley solve` reads it."""
    require(get_actor(request), PLANNING_VIEW)
    return selectors.get_instance(pk=plan_request_id)
