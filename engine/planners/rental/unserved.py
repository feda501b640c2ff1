"""Why no configuration serves a request class: context, memory or latency, with the figures.

Looks at the shapes that the enumeration estimated; nothing is estimated for shapes that cannot be rented.

Source: specification of the rental planner, section 6.6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.costmodel.shape import split_model
from engine.costmodel.sizes import estimate_weight_bytes
from engine.domain.gpu_catalog import UnknownGpuError, get_gpu_spec
from engine.domain.model_spec import ModelSpec
from engine.domain.plan import InfeasibleReason
from engine.domain.workload import RequestClass
from engine.planners.rental.enumeration import ShapeCatalogue, ShapeKey, ShapeTimes, get_longest_tokens, get_ratios
from engine.planners.rental.instance_builder import define_class_id
from engine.planners.rental.operating_point import LatencyLimits, find_point_at_load, slo_to_limits
from engine.planners.rental.request import ModelDemand, RentalRequest
from engine.units import GB


@dataclass(frozen=True, slots=True, kw_only=True)
class _Miss:
    """The bound that a class misses most on one shape, and by what factor."""

    factor: float
    name: str
    latency_s: float
    bound_s: float
    shape: str


def explain_unserved(
    request: RentalRequest, catalogue: ShapeCatalogue, class_ids: Sequence[str]
) -> tuple[InfeasibleReason, ...]:
    """Return why the classes of these instance ids are served by nothing; one reason where one explains all."""
    wanted = frozenset(class_ids)
    reasons: list[InfeasibleReason] = []
    for demand in request.demands:
        names = {item.id: define_class_id(request, demand.model.id, item.id) for item in demand.workload.classes}
        classes = [item for item in demand.workload.classes if names[item.id] in wanted]
        if not classes:
            continue
        whole = _find_context_reason(demand) or _find_memory_reason(request, catalogue, demand)
        reasons.extend([whole] if whole else [_explain_latency(request, catalogue, demand, item) for item in classes])
    return tuple(reasons)


def _find_context_reason(demand: ModelDemand) -> InfeasibleReason | None:
    longest, most = get_longest_tokens(demand), demand.model.max_context_tokens
    if longest <= most:
        return None
    text = f"the longest request has {longest} tokens, the context of {demand.model.id} holds {most}"
    return InfeasibleReason(kind="class", subject="", value=float(longest - most), text=text)


def _list_shapes(catalogue: ShapeCatalogue, model: ModelSpec) -> list[tuple[ShapeKey, ShapeTimes]]:
    return [(key, times) for key, times in sorted(catalogue.times.items()) if key[0] == model.id]


def _find_memory_reason(
    request: RentalRequest, catalogue: ShapeCatalogue, demand: ModelDemand
) -> InfeasibleReason | None:
    longest = get_longest_tokens(demand)
    if any(times.kv_tokens >= longest for _, times in _list_shapes(catalogue, demand.model)):
        return None
    needed_bytes = estimate_model_bytes(demand.model)
    text = (
        f"{demand.model.id} has {needed_bytes / GB:.1f} GB of weights and needs room for {longest} tokens of KV cache "
        f"beside them; {_describe_largest(request)}"
    )
    return InfeasibleReason(kind="class", subject="", value=needed_bytes / GB, text=text)


def estimate_model_bytes(model: ModelSpec) -> float:
    """Return the bytes of all weights."""
    (layers,) = split_model(model, (model.num_layers,))
    return estimate_weight_bytes(model, layers)


def _describe_largest(request: RentalRequest) -> str:
    """Return the most memory that one replica could use on one machine of the request's offers, in words."""
    most = request.options.max_gpus_per_replica
    found: list[tuple[int, str]] = []
    for offer in request.offers:
        try:
            memory_bytes = get_gpu_spec(offer.gpu_name).memory_bytes
        except UnknownGpuError:
            continue
        count = min(offer.gpu_count, most)
        found.append((count * memory_bytes, f"{count} x {offer.gpu_name}"))
    if not found:
        return "no offer has a known accelerator"
    memory_bytes, name = max(found)
    return f"the largest machine offered, {name}, has {memory_bytes / GB:.1f} GB in all"


def _explain_latency(
    request: RentalRequest, catalogue: ShapeCatalogue, demand: ModelDemand, item: RequestClass
) -> InfeasibleReason:
    """Return by how much the fastest shape misses the SLO with a single request in service."""
    limits = slo_to_limits(request.slo, get_ratios(request))
    misses = [
        _find_worst_bound(request, limits, key, times, item)
        for key, times in _list_shapes(catalogue, demand.model)
        if times.kv_tokens >= get_longest_tokens(demand)
    ]
    best = min(misses, key=lambda miss: (miss.factor, miss.shape))
    text = (
        f"class {item.id}: {best.name} at P{request.slo.percentile:g} is {best.latency_s:.3g} s at best "
        f"(on {best.shape}), the SLO allows {best.bound_s:.3g} s"
    )
    subject = define_class_id(request, demand.model.id, item.id)
    return InfeasibleReason(kind="class", subject=subject, value=best.factor, text=text)


def _find_worst_bound(
    request: RentalRequest, limits: LatencyLimits, key: ShapeKey, times: ShapeTimes, item: RequestClass
) -> _Miss:
    point = find_point_at_load(times, item, max_batch=1, load=0.0)
    _, gpu_name, tensor_parallel, pipeline_parallel = key
    shape = f"{tensor_parallel * pipeline_parallel} x {gpu_name}"
    slo = request.slo
    candidates = (
        ("TTFT", point.ttft_s / limits.ttft_s, slo.ttft_s),
        ("TPOT", point.tpot_s / limits.tpot_s, slo.tpot_s),
        ("E2E", point.e2e_s / limits.e2e_s, slo.e2e_s),
    )
    return max(
        (
            _Miss(factor=factor, name=name, latency_s=factor * bound_s, bound_s=bound_s, shape=shape)
            for name, factor, bound_s in candidates
            if bound_s is not None
        ),
        key=lambda miss: miss.factor,
    )
