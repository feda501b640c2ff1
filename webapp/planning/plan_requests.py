"""Asking for a plan: what a request says, checked before anything is stored."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from engine.domain.plan import Objective
from engine.errors import InvalidInputError
from webapp.core import audit, events
from webapp.core.models import User
from webapp.market import selectors as market_selectors
from webapp.planning.mapping import select_servable
from webapp.planning.models import PlanRequest, PlanState, ServedModel, WorkloadProfile
from webapp.planning.transitions import OBJECT_TYPE, TOPIC_ALL

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_MAX_BUDGET: Final = Decimal(1_000_000)  # USD/h; more is a slip of the keyboard
_BUDGET_STEP: Final = Decimal("0.0001")  # scale of the database column
_MAX_RATE: Final = 1e6  # requests/s
_MAX_LATENCY_S: Final = 86_400.0
_MAX_COUNT: Final = 10_000  # machines of one offer


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequestSpec:
    """What somebody asks the planner for.

    Attributes:
        deployment_name: the deployment the plan is for, new or running.
        objective: `max_rate` or `min_cost`.
        requests_per_s: rate instead of the workload's own [requests/s].
        slo_ttft_s, slo_tpot_s, slo_e2e_s: bounds at `slo_percentile` [s]; None leaves a quantity unbounded.
        allowed_providers, allowed_regions: only these; empty means all.
        default_available_count: machines assumed where an offer does not say how many can be had.
    """

    deployment_name: str
    objective: str
    budget_usd_per_hour: Decimal
    model_slug: str
    workload_slug: str
    requests_per_s: float | None = None
    slo_ttft_s: float | None = None
    slo_tpot_s: float | None = None
    slo_e2e_s: float | None = None
    slo_percentile: float = 90.0
    allowed_providers: tuple[str, ...] = ()
    allowed_regions: tuple[str, ...] = ()
    allows_spot: bool = True
    default_available_count: int = 8


@transaction.atomic
def create_plan_request(*, actor: User, spec: PlanRequestSpec, now: datetime) -> PlanRequest:
    """Store a draft.

    Raises:
        InvalidInputError: a field cannot be used; `field` names it.
    """
    _check_figures(spec)
    model = _get_model(spec.model_slug)
    workload = _get_workload(spec.workload_slug)
    _check_rate(spec, workload)
    _check_market(spec, model, now)
    request = PlanRequest.objects.create(
        deployment_name=spec.deployment_name,
        author=actor,
        created_at=now,
        updated_at=now,
        objective=spec.objective,
        budget_usd_per_hour=spec.budget_usd_per_hour,
        model=model,
        workload=workload,
        requests_per_s=spec.requests_per_s,
        slo_ttft_s=spec.slo_ttft_s,
        slo_tpot_s=spec.slo_tpot_s,
        slo_e2e_s=spec.slo_e2e_s,
        slo_percentile=spec.slo_percentile,
        allowed_providers=sorted(set(spec.allowed_providers)),
        allowed_regions=sorted(set(spec.allowed_regions)),
        allows_spot=spec.allows_spot,
        default_available_count=spec.default_available_count,
    )
    _report(request, actor, now)
    return request


def _report(request: PlanRequest, actor: User, now: datetime) -> None:
    detail = {"deployment": request.deployment_name, "budget_usd_per_hour": str(request.budget_usd_per_hour)}
    audit.record(
        actor=actor, action="plan-request.create", object_type=OBJECT_TYPE, object_id=request.pk, now=now, detail=detail
    )
    payload = {"id": request.pk, "state": PlanState.DRAFT.value}
    events.emit(topic=TOPIC_ALL, kind="state", payload=payload, now=now)


def _refuse(field: str, message: str, remedy: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {message}", field=field, remedy=remedy)


def _check_figures(spec: PlanRequestSpec) -> None:
    if not _NAME.fullmatch(spec.deployment_name):
        raise _refuse(
            "deployment_name",
            f"{spec.deployment_name!r} cannot be the name of a deployment",
            "use up to 48 small letters, digits and dashes; begin and end with a letter or digit",
        )
    if spec.objective not in set(Objective):
        raise _refuse("objective", f"{spec.objective!r} is not known", f"give one of {', '.join(Objective)}")
    _check_budget(spec.budget_usd_per_hour)
    for name in ("slo_ttft_s", "slo_tpot_s", "slo_e2e_s"):
        _check_positive(name, getattr(spec, name), most=_MAX_LATENCY_S, unit="seconds")
    if not 50.0 <= spec.slo_percentile <= 100.0:
        raise _refuse("slo_percentile", f"{spec.slo_percentile} is outside 50..100", "give a percentile from 50 to 100")
    if not 1 <= spec.default_available_count <= _MAX_COUNT:
        raise _refuse(
            "default_available_count",
            f"{spec.default_available_count} is outside 1..{_MAX_COUNT}",
            f"give 1 to {_MAX_COUNT} machines",
        )


def _check_budget(budget: Decimal) -> None:
    if not (budget.is_finite() and 0 < budget <= _MAX_BUDGET):
        raise _refuse(
            "budget_usd_per_hour", f"{budget} is not a budget", f"give USD per hour above 0, to {_MAX_BUDGET}"
        )
    if budget != budget.quantize(_BUDGET_STEP):
        raise _refuse("budget_usd_per_hour", f"{budget} has too many decimals", "give at most four decimals")


def _check_positive(field: str, value: float | None, *, most: float, unit: str) -> None:
    if value is not None and not (math.isfinite(value) and 0.0 < value <= most):
        raise _refuse(field, f"{value} cannot be used", f"give {unit} above 0, to {most:g}, or leave it out")


def _check_rate(spec: PlanRequestSpec, workload: WorkloadProfile) -> None:
    _check_positive("requests_per_s", spec.requests_per_s, most=_MAX_RATE, unit="requests per second")
    if spec.requests_per_s is None and workload.requests_per_s <= 0.0 and spec.objective == Objective.MIN_COST:
        raise _refuse("requests_per_s", f"workload {workload.slug} has no rate of its own", "give requests per second")


def _get_model(slug: str) -> ServedModel:
    row = ServedModel.objects.filter(slug=slug).first()
    if row is None:
        known = ", ".join(ServedModel.objects.order_by("slug").values_list("slug", flat=True))
        raise _refuse("model_slug", f"no model is called {slug!r}", f"give one of {known}, or upload its config.json")
    return row


def _get_workload(slug: str) -> WorkloadProfile:
    row = WorkloadProfile.objects.filter(slug=slug).first()
    if row is None:
        known = ", ".join(WorkloadProfile.objects.order_by("slug").values_list("slug", flat=True))
        raise _refuse("workload_slug", f"no workload is called {slug!r}", f"give one of {known}, or upload a trace")
    return row


def _check_market(spec: PlanRequestSpec, model: ServedModel, now: datetime) -> None:
    choices = market_selectors.list_filter_choices()
    _check_known("allowed_providers", spec.allowed_providers, choices.providers)
    _check_known("allowed_regions", spec.allowed_regions, choices.regions)
    offers = market_selectors.list_snapshot_offers(
        as_of=now,
        providers=spec.allowed_providers,
        regions=spec.allowed_regions,
        allows_spot=spec.allows_spot,
    )
    if not offers:
        raise _refuse("allowed_providers", "no offer is left to plan with", "allow more providers, regions or spot")
    if not select_servable(offers, weights_path=model.weights_path):
        raise _refuse("allowed_providers", *_explain_unservable(model))


def _check_known(field: str, values: Collection[str], known: Collection[str]) -> None:
    for value in values:
        if value not in known:
            raise _refuse(field, f"the market has no offer of {value!r}", f"give some of {', '.join(known)}")


def _explain_unservable(model: ServedModel) -> tuple[str, str]:
    if model.weights_path:
        return f"the weights of {model.slug} are on this host only", "allow the provider local"
    return f"the weights of {model.slug} are not on this host", "allow a provider of machines in a cloud"
