"""Configurations that a request's offers allow, each with what one copy does for every class.

Estimates depend on (model, accelerator, TP, PP) only, so each such shape is estimated once, however many
offers sell it. Everything dropped is counted with its reason.

Source: specification of the rental planner, sections 2 (steps 1 to 5) and 3.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from engine.costmodel.estimator import ReplicaShape, StageShape, build_estimator
from engine.costmodel.memory import CPU_KV_CACHE_BYTES
from engine.domain.configuration import ClassPerformance, Configuration
from engine.domain.gpu_catalog import UnknownGpuError, get_gpu_spec
from engine.domain.hardware import DeviceKind, GpuSpec
from engine.domain.model_spec import ModelSpec
from engine.domain.offer import Offer
from engine.planners.rental.operating_point import (
    LatencyLimits,
    OperatingPoint,
    PercentileRatios,
    ReplicaTimes,
    define_ratios,
    find_operating_point,
    slo_to_limits,
)
from engine.planners.rental.request import ModelDemand, RentalRequest
from engine.planners.rental.shapes import (
    CopyShape,
    ReplicaSplit,
    define_stages,
    find_copy_shape,
    list_splits,
    split_layers,
)


class ShapeTimes(ReplicaTimes, Protocol):
    """Times of a replica with their provenance."""

    @property
    def source(self) -> str:
        """Profile id or `prior`."""
        ...

    @property
    def error_band(self) -> float:
        """Relative half-width of the estimates (90 %)."""
        ...


ShapeKey = tuple[str, str, int, int]  # model id, accelerator, TP, PP


@dataclass(slots=True)
class ShapeCatalogue:
    """Estimators and operating points by shape, made on first use and kept for one plan."""

    options_key: tuple[int, int, float]
    times: dict[ShapeKey, ShapeTimes] = field(default_factory=dict)

    def get_times(self, model: ModelSpec, gpu: GpuSpec, split: ReplicaSplit) -> ShapeTimes:
        """Return the estimator of one replica shape."""
        key = (model.id, gpu.name, split.tensor_parallel, split.pipeline_parallel)
        if key not in self.times:
            self.times[key] = self._build(model, gpu, split)
        return self.times[key]

    def _build(self, model: ModelSpec, gpu: GpuSpec, split: ReplicaSplit) -> ShapeTimes:
        max_num_seqs, max_num_batched_tokens, utilization_ratio = self.options_key
        stages = tuple(
            StageShape(gpu=gpu, tensor_parallel=split.tensor_parallel, num_layers=layers)
            for layers in split_layers(model.num_layers, split.pipeline_parallel)
        )
        shape = ReplicaShape(
            model=model,
            stages=stages,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            gpu_memory_utilization=utilization_ratio,
        )
        return build_estimator(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumeration:
    """Configurations of a request; `dropped` counts by reason what was left out."""

    configurations: tuple[Configuration, ...]
    dropped: Mapping[str, int]


def create_catalogue(request: RentalRequest) -> ShapeCatalogue:
    """Return an empty catalogue for the request's engine arguments."""
    options = request.options
    return ShapeCatalogue((options.max_num_seqs, options.max_num_batched_tokens, options.gpu_memory_utilization))


def get_ratios(request: RentalRequest) -> PercentileRatios:
    """Return the latency ratios at the request's percentile."""
    return define_ratios(
        percentile=request.slo.percentile,
        ttft_ratio=request.options.ttft_ratio,
        tpot_ratio=request.options.tpot_ratio,
    )


def enumerate_configurations(
    request: RentalRequest,
    catalogue: ShapeCatalogue,
    *,
    slo_slack: float = 1.0,
    on_progress: Callable[[float], None] | None = None,
) -> Enumeration:
    """Return every configuration that fits memory and serves at least one class within the SLO.

    Args:
        request: checked request.
        catalogue: estimators made so far.
        slo_slack: factor on all SLO bounds, to find out how loose they would have to be.
        on_progress: told the part (0..1) of the offers done.
    """
    limits = slo_to_limits(request.slo, get_ratios(request), slack=slo_slack)
    points = _PointCache(request=request, catalogue=catalogue, limits=limits)
    dropped: Counter[str] = Counter()
    found: list[Configuration] = []
    for index, offer in enumerate(request.offers):
        if on_progress is not None:
            on_progress(index / len(request.offers))
        try:
            gpu = get_gpu_spec(offer.gpu_name)
        except UnknownGpuError:
            dropped["unknown accelerator"] += 1
            continue
        for demand in request.demands:
            found.extend(_list_for_offer(points, demand, offer, gpu, dropped))
    return Enumeration(configurations=tuple(found), dropped=dict(dropped))


@dataclass(slots=True, kw_only=True)
class _PointCache:
    """Operating points by shape under one set of limits."""

    request: RentalRequest
    catalogue: ShapeCatalogue
    limits: LatencyLimits
    points: dict[ShapeKey, Mapping[str, OperatingPoint]] = field(default_factory=dict)

    def find(self, demand: ModelDemand, gpu: GpuSpec, split: ReplicaSplit) -> Mapping[str, OperatingPoint]:
        """Return class id -> operating point of one replica, the classes it can serve only."""
        key = (demand.model.id, gpu.name, split.tensor_parallel, split.pipeline_parallel)
        if key not in self.points:
            times = self.catalogue.get_times(demand.model, gpu, split)
            found = {
                item.id: find_operating_point(times, item, self.limits, max_num_seqs=self.request.options.max_num_seqs)
                for item in demand.workload.classes
            }
            self.points[key] = {class_id: point for class_id, point in found.items() if point is not None}
        return self.points[key]


def _list_for_offer(
    points: _PointCache, demand: ModelDemand, offer: Offer, gpu: GpuSpec, dropped: Counter[str]
) -> list[Configuration]:
    longest_tokens = get_longest_tokens(demand)
    if longest_tokens > demand.model.max_context_tokens:
        dropped["longest request exceeds the model's context"] += 1
        return []
    found: list[Configuration] = []
    fitting: list[ReplicaSplit] = []
    for split in list_splits(demand.model, gpu, points.request.options):
        reason = _find_shape_reason(points, offer, split, fitting)
        shape = find_copy_shape(offer, split)
        if reason is None and shape is not None:
            reason = _find_memory_reason(points, demand, gpu, split, longest_tokens)
        if reason is None and shape is not None:
            fitting.append(split)
            performance = points.find(demand, gpu, split)
            if performance:
                found.append(_to_configuration(points, demand, offer, gpu, split, shape))
                continue
            reason = "no class meets the SLO"
        dropped[reason or "tensor-parallel group larger than the machine"] += 1
    return found


def get_longest_tokens(demand: ModelDemand) -> int:
    """Return the longest request of the classes that occur at all [tokens]."""
    return max(item.prompt_tokens + item.output_tokens for item in demand.workload.classes if item.share > 0.0)


def _find_shape_reason(
    points: _PointCache, offer: Offer, split: ReplicaSplit, fitting: list[ReplicaSplit]
) -> str | None:
    """Return why this split is not wanted on this offer, given the smaller ones that already fit."""
    shape = find_copy_shape(offer, split)
    if shape is None:
        return "tensor-parallel group larger than the machine"
    if shape.machines > 1 and not points.request.options.allows_machine_pipelines:
        return "pipeline across machines"
    if shape.machines > 1 and any(_is_one_machine(offer, other) for other in fitting):
        return "several machines where one is enough"
    if fitting and split.pipeline_parallel > points.request.options.max_pipeline_parallel:
        return "deeper pipeline than needed"
    return None


def _is_one_machine(offer: Offer, split: ReplicaSplit) -> bool:
    shape = find_copy_shape(offer, split)
    return shape is not None and shape.machines == 1


def _find_memory_reason(
    points: _PointCache, demand: ModelDemand, gpu: GpuSpec, split: ReplicaSplit, longest_tokens: int
) -> str | None:
    times = points.catalogue.get_times(demand.model, gpu, split)
    if times.kv_tokens < longest_tokens:
        return "weights and longest request exceed memory"
    return None


def _to_configuration(
    points: _PointCache, demand: ModelDemand, offer: Offer, gpu: GpuSpec, split: ReplicaSplit, shape: CopyShape
) -> Configuration:
    times = points.catalogue.get_times(demand.model, gpu, split)
    options = points.request.options
    performance = {
        class_id: ClassPerformance(
            requests_per_s=point.requests_per_s * shape.replicas,
            batch=point.batch,
            ttft_s=point.ttft_s,
            tpot_s=point.tpot_s,
        )
        for class_id, point in points.find(demand, gpu, split).items()
    }
    return Configuration(
        id=f"{demand.model.id}/{offer.id}/{split.label}",
        model_id=demand.model.id,
        machines={offer.id: shape.machines},
        usd_per_hour=offer.usd_per_hour * shape.machines,
        replicas_per_copy=shape.replicas,
        stages=define_stages(offer, split, shape, demand.model.num_layers),
        kv_tokens=times.kv_tokens,
        max_num_seqs=options.max_num_seqs,
        max_num_batched_tokens=options.max_num_batched_tokens,
        performance=performance,
        estimate_source=times.source,
        error_band=times.error_band,
        engine_args=_define_engine_args(points.request, demand.model, gpu, times.kv_tokens),
    )


def _define_engine_args(request: RentalRequest, model: ModelSpec, gpu: GpuSpec, kv_tokens: int) -> dict[str, str]:
    """Return vLLM arguments that TP, PP and batch limits do not say; the context is cut to what the cache holds."""
    arguments = {"max-model-len": str(min(model.max_context_tokens, kv_tokens))}
    if gpu.kind is DeviceKind.CPU:
        return {**arguments, "kv-cache-memory-bytes": str(CPU_KV_CACHE_BYTES)}
    return {**arguments, "gpu-memory-utilization": f"{request.options.gpu_memory_utilization:g}"}
