"""What the rental planner is asked: offers, models with their workloads, an SLO, a budget, options."""

import math
from dataclasses import dataclass, field

from engine.domain.model_spec import ModelSpec
from engine.domain.offer import Offer
from engine.domain.plan import Objective, Plan
from engine.domain.slo import Slo
from engine.domain.workload import Workload
from engine.errors import InvalidInputError
from engine.planners.rental.options import RentalOptions


class InvalidRentalRequestError(InvalidInputError):
    """The request cannot be planned as it stands."""

    code = "invalid_rental_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDemand:
    """A model and the requests it must serve; `workload.model_id` equals `model.id`."""

    model: ModelSpec
    workload: Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalRequest:
    """One question to the rental planner.

    Attributes:
        offers: what may be rented; one offer is one stock pool and its unit is a machine.
        demands: one per model. `max_rate` carries as much as it can of their mix (rates only weigh models
            against each other); `min_cost` carries exactly `requests_per_s` of each.
        budget_usd_per_hour: most that may be spent [USD/h]; infinite leaves it open (`min_cost` only).
    """

    objective: Objective
    offers: tuple[Offer, ...]
    demands: tuple[ModelDemand, ...]
    slo: Slo
    budget_usd_per_hour: float
    options: RentalOptions = field(default_factory=RentalOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalAnswer:
    """A plan and the instance file (JSON data for `medley solve`) that it solves."""

    plan: Plan
    instance: dict[str, object]


def check_request(request: RentalRequest) -> None:
    """Refuse what cannot be planned.

    Raises:
        InvalidRentalRequestError: no offers or demand, duplicate ids, negative or NaN figures.
    """
    _check_offers(request)
    _check_demands(request)
    _check_budget(request)
    _check_slo(request.slo)


def _refuse(field_name: str, message: str, remedy: str) -> InvalidRentalRequestError:
    return InvalidRentalRequestError(f"{field_name}: {message}", field=field_name, remedy=remedy)


def _check_offers(request: RentalRequest) -> None:
    if not request.offers:
        raise _refuse("offers", "there is no offer to plan with", "allow more providers or regions")
    seen: set[str] = set()
    for offer in request.offers:
        if offer.id in seen:
            raise _refuse("offers", f"offer {offer.id} occurs twice", "give the latest observation only")
        seen.add(offer.id)
        if not (math.isfinite(offer.usd_per_hour) and offer.usd_per_hour > 0.0 and offer.gpu_count >= 1):
            raise _refuse("offers", f"offer {offer.id} has no usable price or count", "give a price above zero")


def _check_demands(request: RentalRequest) -> None:
    if not request.demands:
        raise _refuse("demands", "no model is asked for", "give at least one model with a workload")
    ids = [demand.model.id for demand in request.demands]
    if len(set(ids)) != len(ids):
        raise _refuse("demands", "a model occurs twice", "give each model once")
    for demand in request.demands:
        _check_workload(demand)
    rates = [demand.workload.requests_per_s for demand in request.demands]
    if request.objective is Objective.MIN_COST and max(rates) <= 0.0:
        raise _refuse("requests_per_s", "the least cost of no demand is no plan", "give a request rate above zero")


def _check_workload(demand: ModelDemand) -> None:
    workload = demand.workload
    if not workload.classes:
        raise _refuse("classes", f"workload {workload.name} has no request class", "give at least one class")
    if not (math.isfinite(workload.requests_per_s) and workload.requests_per_s >= 0.0):
        raise _refuse("requests_per_s", f"workload {workload.name} has no usable rate", "give a rate of zero or more")
    ids = [request_class.id for request_class in workload.classes]
    if len(set(ids)) != len(ids):
        raise _refuse("classes", f"workload {workload.name} has a class twice", "give each class once")
    for request_class in workload.classes:
        if request_class.prompt_tokens < 1 or request_class.output_tokens < 1:
            raise _refuse("classes", f"class {request_class.id} has no tokens", "give at least one token each way")
        if not (math.isfinite(request_class.share) and request_class.share >= 0.0):
            raise _refuse("classes", f"class {request_class.id} has no usable share", "give a share of zero or more")
    if sum(request_class.share for request_class in workload.classes) <= 0.0:
        raise _refuse("classes", f"workload {workload.name} has no demand", "give one class a share above zero")


def _check_budget(request: RentalRequest) -> None:
    budget = request.budget_usd_per_hour
    if math.isnan(budget) or budget < 0.0:
        raise _refuse("budget_usd_per_hour", f"{budget} is not a budget", "give zero or more USD per hour")
    if math.isinf(budget) and request.objective is Objective.MAX_RATE:
        raise _refuse("budget_usd_per_hour", "the largest rate needs a budget", "give a finite budget")


def _check_slo(slo: Slo) -> None:
    for name, bound in (("ttft_s", slo.ttft_s), ("tpot_s", slo.tpot_s), ("e2e_s", slo.e2e_s)):
        if bound is not None and not (math.isfinite(bound) and bound > 0.0):
            raise _refuse(f"slo.{name}", f"{bound} is not a latency bound", "give seconds above zero, or leave it out")
    if not 50.0 <= slo.percentile <= 100.0:
        raise _refuse("slo.percentile", f"{slo.percentile} is outside 50..100", "give a percentile from 50 to 100")
