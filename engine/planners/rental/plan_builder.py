"""From a solved instance to the plan: machines, replicas with their shares, and the prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.configuration import Configuration, Phase
from engine.domain.gpu_catalog import get_gpu_spec
from engine.domain.offer import Offer
from engine.domain.plan import PlannedMachine, PlannedReplica, PlannedStage, Prediction
from engine.domain.workload import RequestClass
from engine.planners.rental.enumeration import ShapeCatalogue, get_ratios
from engine.planners.rental.instance import Assignment
from engine.planners.rental.instance_builder import define_class_id, list_demand_rates
from engine.planners.rental.operating_point import OperatingPoint, find_point_at_load
from engine.planners.rental.request import RentalRequest
from engine.planners.rental.shapes import ReplicaSplit
from engine.units import usd_per_mtok


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFleet:
    """Machines and the replicas on them."""

    machines: tuple[PlannedMachine, ...]
    replicas: tuple[PlannedReplica, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a solved plan carries: (model id, class id) -> requests/s."""

    rates: Mapping[tuple[str, str], float]

    @property
    def requests_per_s(self) -> float:
        """All classes together."""
        return sum(self.rates.values())


def define_traffic(request: RentalRequest, scale: float) -> Traffic:
    """Return the planned traffic: the demand times `scale` (the solved rate, or 1 under `min_cost`)."""
    return Traffic(rates={key: rate * scale for key, rate in list_demand_rates(request).items()})


def build_fleet(
    request: RentalRequest, configurations: Sequence[Configuration], assignment: Assignment, traffic: Traffic
) -> PlannedFleet:
    """Return machines `m1...` and replicas `r1...`, copies in the order of the configurations."""
    offers = {offer.id: offer for offer in request.offers}
    machines: list[PlannedMachine] = []
    replicas: list[PlannedReplica] = []
    for item in configurations:
        count = assignment.copies.get(item.id, 0)
        shares = _get_replica_shares(request, item, assignment, count) if count else {}
        for _ in range(count):
            rented = _rent(item, offers, first_number=len(machines) + 1)
            machines.extend(rented)
            for _ in range(item.replicas_per_copy):
                replicas.append(_place(item, rented, shares, traffic, number=len(replicas) + 1))
    return PlannedFleet(machines=tuple(machines), replicas=tuple(replicas))


def _get_replica_shares(
    request: RentalRequest, item: Configuration, assignment: Assignment, count: int
) -> dict[str, float]:
    part = assignment.shares.get(item.id, {})
    by_class = {
        class_id: part.get(define_class_id(request, item.model_id, class_id), 0.0) for class_id in item.performance
    }
    return {key: share / (count * item.replicas_per_copy) for key, share in by_class.items() if share > 0.0}


def _rent(item: Configuration, offers: Mapping[str, Offer], *, first_number: int) -> list[PlannedMachine]:
    wanted = [offer_id for offer_id, count in item.machines.items() for _ in range(count)]
    return [
        PlannedMachine(id=f"m{first_number + index}", offer_id=offer_id, usd_per_hour=offers[offer_id].usd_per_hour)
        for index, offer_id in enumerate(wanted)
    ]


def _place(
    item: Configuration,
    rented: Sequence[PlannedMachine],
    shares: Mapping[str, float],
    traffic: Traffic,
    *,
    number: int,
) -> PlannedReplica:
    """Return one replica of a copy; all replicas of a copy share its machines."""
    stages = tuple(PlannedStage(machine_id=rented[stage.machine_index].id, stage=stage) for stage in item.stages)
    return PlannedReplica(
        id=f"r{number}",
        model_id=item.model_id,
        phase=Phase.MIXED,
        configuration_id=item.id,
        stages=stages,
        shares=dict(shares),
        requests_per_s=sum(share * traffic.rates[item.model_id, class_id] for class_id, share in shares.items()),
        kv_tokens=item.kv_tokens,
        max_num_seqs=item.max_num_seqs,
        max_num_batched_tokens=item.max_num_batched_tokens,
        engine_args=dict(item.engine_args),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contribution:
    """One class on the copies of one configuration."""

    requests_per_s: float
    request_class: RequestClass
    point: OperatingPoint


def predict(
    request: RentalRequest,
    configurations: Sequence[Configuration],
    assignment: Assignment,
    traffic: Traffic,
    catalogue: ShapeCatalogue,
) -> Prediction:
    """Return the closed-form prediction at the planned traffic, every copy at its planned load.

    Latencies are means over requests; at the SLO's percentile they are multiplied by the planner's ratios.
    """
    chosen = [item for item in configurations if assignment.copies.get(item.id, 0)]
    parts = [part for item in chosen for part in _list_contributions(request, item, assignment, traffic, catalogue)]
    decoding = [part for part in parts if part.request_class.output_tokens > 1]
    ttft_s = _average([(part.requests_per_s, part.point.ttft_s) for part in parts])
    tpot_s = _average([(part.requests_per_s, part.point.tpot_s) for part in decoding])
    output_tokens_per_s = sum(part.requests_per_s * part.request_class.output_tokens for part in parts)
    ratios = get_ratios(request)
    return Prediction(
        requests_per_s=traffic.requests_per_s,
        output_tokens_per_s=output_tokens_per_s,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        ttft_slo_s=ttft_s * ratios.ttft,
        tpot_slo_s=tpot_s * ratios.tpot,
        usd_per_mtok=usd_per_mtok(assignment.usd_per_hour, output_tokens_per_s),
        error_band=max(item.error_band for item in chosen),
        source=", ".join(sorted({item.estimate_source for item in chosen})),
    )


def _average(weighted: Sequence[tuple[float, float]]) -> float:
    total = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / total if total > 0.0 else 0.0


def _list_contributions(
    request: RentalRequest, item: Configuration, assignment: Assignment, traffic: Traffic, catalogue: ShapeCatalogue
) -> list[_Contribution]:
    demand = next(demand for demand in request.demands if demand.model.id == item.model_id)
    part = assignment.shares.get(item.id, {})
    served = {
        cls.id: part.get(define_class_id(request, item.model_id, cls.id), 0.0) * traffic.rates[item.model_id, cls.id]
        for cls in demand.workload.classes
    }
    busy = sum(rate / item.performance[class_id].requests_per_s for class_id, rate in served.items() if rate > 0.0)
    load = min(1.0, busy / assignment.copies[item.id])
    split = ReplicaSplit(tensor_parallel=item.tensor_parallel, pipeline_parallel=item.pipeline_parallel)
    times = catalogue.get_times(demand.model, get_gpu_spec(item.stages[0].gpu_name), split)
    return [
        _Contribution(
            requests_per_s=served[cls.id],
            request_class=cls,
            point=find_point_at_load(times, cls, max_batch=item.performance[cls.id].batch, load=load),
        )
        for cls in demand.workload.classes
        if served[cls.id] > 0.0
    ]
