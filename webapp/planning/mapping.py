"""Between planning rows (Decimal, ORM, JSON) and engine values (float USD): the only place that crosses."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.domain.codec import json_to_value, value_to_json
from engine.domain.model_config import parse_model_config
from engine.domain.model_spec import ModelSpec
from engine.domain.offer import Offer
from engine.domain.plan import Objective, Plan
from engine.domain.slo import Slo
from engine.domain.workload import ArrivalProcess, RequestClass, Workload
from engine.market.local import PROVIDER as LOCAL_PROVIDER
from engine.planners.rental.options import RentalOptions
from engine.planners.rental.request import ModelDemand, RentalRequest
from webapp.market.mapping import usd_to_decimal
from webapp.planning import models

_OFFER_FIELDS: Final = ("provider", "region", "zone", "instance_type", "gpu_name", "gpu_count", "market", "source")


def row_to_model_spec(row: models.ServedModel) -> ModelSpec:
    """Return the engine's model spec of a stored `config.json`."""
    return parse_model_config(row.config, model_id=row.slug, name=row.name)


def classes_to_json(classes: Iterable[RequestClass]) -> list[dict[str, object]]:
    """Return request classes as the database keeps them."""
    return [asdict(item) for item in classes]


def row_to_workload(row: models.WorkloadProfile, *, model_id: str, requests_per_s: float | None) -> Workload:
    """Return the engine's workload of a model, at the row's own rate unless another is given [requests/s]."""
    return Workload(
        name=row.slug,
        model_id=model_id,
        classes=tuple(json_to_value(RequestClass, item) for item in row.classes),
        requests_per_s=row.requests_per_s if requests_per_s is None else requests_per_s,
        arrival=ArrivalProcess(row.arrival),
        source=row.source,
    )


def row_to_slo(row: models.PlanRequest) -> Slo:
    """Return the SLO of a plan request."""
    return Slo(ttft_s=row.slo_ttft_s, tpot_s=row.slo_tpot_s, e2e_s=row.slo_e2e_s, percentile=row.slo_percentile)


def row_to_rental_request(row: models.PlanRequest, *, offers: Iterable[Offer]) -> RentalRequest:
    """Return what the planner is asked, with the offers it may rent."""
    model = row_to_model_spec(row.model)
    workload = row_to_workload(row.workload, model_id=model.id, requests_per_s=row.requests_per_s)
    return RentalRequest(
        objective=Objective(row.objective),
        offers=tuple(offers),
        demands=(ModelDemand(model=model, workload=workload),),
        slo=row_to_slo(row),
        budget_usd_per_hour=float(row.budget_usd_per_hour),
        options=RentalOptions(default_available_count=row.default_available_count),
    )


def select_servable(offers: Iterable[Offer], *, weights_path: str) -> tuple[Offer, ...]:
    """Return the offers on which a model can be served.

    Weights in a folder of this host reach no cloud; weights without one are not on this host.
    """
    is_local = bool(weights_path)
    return tuple(offer for offer in offers if (offer.provider == LOCAL_PROVIDER) == is_local)


def plan_to_json(plan: Plan) -> object:
    """Return the stored form of a plan."""
    return value_to_json(plan)


def json_to_plan(data: object) -> Plan:
    """Return the plan that `plan_to_json` stored."""
    return json_to_value(Plan, data)


def offers_to_json(plan: Plan, offers: Iterable[Offer]) -> dict[str, dict[str, object]]:
    """Return what a plan was priced with: offer id -> price, instant and place of every offer it uses.

    Raises:
        KeyError: the plan uses an offer that was not given; policies could not judge it.
    """
    given = {offer.id: offer for offer in offers}
    used = sorted({machine.offer_id for machine in plan.machines})
    return {offer_id: _offer_to_json(given[offer_id]) for offer_id in used}


def _offer_to_json(offer: Offer) -> dict[str, object]:
    return {
        "usd_per_hour": str(usd_to_decimal(offer.usd_per_hour)),
        "observed_at": offer.observed_at.isoformat(),
        "available_count": offer.available_count,
        **{name: getattr(offer, name) for name in _OFFER_FIELDS},
    }


def read_offer_price(data: Mapping[str, object]) -> Decimal:
    """Return the price of one stored offer [USD/h]."""
    return Decimal(str(data["usd_per_hour"]))


def read_offer_instant(data: Mapping[str, object]) -> datetime:
    """Return when one stored offer was observed."""
    return datetime.fromisoformat(str(data["observed_at"]))
