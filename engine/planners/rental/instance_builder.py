"""From a request and its configurations to the instance that is solved.

Demands are scaled to sum to one under `max_rate`, so that a set per second is a request per second.
"""

from collections.abc import Mapping, Sequence

from engine.domain.configuration import Configuration
from engine.domain.offer import Market, Offer
from engine.domain.plan import Objective
from engine.planners.rental.instance import InstanceClass, InstanceConfiguration, RentalInstance
from engine.planners.rental.request import ModelDemand, RentalRequest


def define_class_id(request: RentalRequest, model_id: str, class_id: str) -> str:
    """Return a class's id in the instance: prefixed by the model when there are several."""
    return class_id if len(request.demands) == 1 else f"{model_id}|{class_id}"


def list_demand_rates(request: RentalRequest) -> dict[tuple[str, str], float]:
    """Return (model id, class id) -> demand [requests/s], or share of all requests under `max_rate`."""
    weights = {demand.model.id: _get_weight(request, demand) for demand in request.demands}
    total = sum(weights.values()) if request.objective is Objective.MAX_RATE else 1.0
    rates: dict[tuple[str, str], float] = {}
    for demand in request.demands:
        shares = sum(item.share for item in demand.workload.classes)
        for item in demand.workload.classes:
            rates[demand.model.id, item.id] = weights[demand.model.id] / total * item.share / shares
    return rates


def _get_weight(request: RentalRequest, demand: ModelDemand) -> float:
    if request.objective is Objective.MIN_COST:
        return demand.workload.requests_per_s
    known = [other.workload.requests_per_s for other in request.demands]
    return demand.workload.requests_per_s if max(known) > 0.0 else 1.0


def build_instance(request: RentalRequest, configurations: Sequence[Configuration]) -> RentalInstance:
    """Return the instance of a request; configurations keep their ids, offers become stock pools."""
    offers = {offer.id: offer for offer in request.offers}
    is_open = request.budget_usd_per_hour == float("inf")
    return RentalInstance(
        name=", ".join(demand.model.id for demand in request.demands),
        objective=request.objective,
        budget_usd_per_hour=None if is_open else request.budget_usd_per_hour,
        availability={offer.id: _get_available(request, offer) for offer in request.offers},
        classes=tuple(
            InstanceClass(id=define_class_id(request, model_id, class_id), demand=rate, model_id=model_id)
            for (model_id, class_id), rate in list_demand_rates(request).items()
        ),
        configurations=tuple(_to_instance_configuration(request, offers, item) for item in configurations),
        gpus_per_unit={offer.id: offer.gpu_count for offer in request.offers},
    )


def _get_available(request: RentalRequest, offer: Offer) -> int:
    if offer.available_count is None:
        return request.options.default_available_count
    return offer.available_count


def _to_instance_configuration(
    request: RentalRequest, offers: Mapping[str, Offer], item: Configuration
) -> InstanceConfiguration:
    offer = offers[item.stages[0].offer_id]
    place = (offer.provider, offer.region, offer.zone)
    return InstanceConfiguration(
        id=item.id,
        usd_per_hour=item.usd_per_hour,
        units=dict(item.machines),
        requests_per_s={
            define_class_id(request, item.model_id, class_id): performance.requests_per_s
            for class_id, performance in item.performance.items()
        },
        model_id=item.model_id,
        is_spot=offer.market is Market.SPOT,
        zone=":".join(part for part in place if part),
    )
