"""Shapes of a replica (TP x PP) and of one rentable copy of it on an offer's machines.

Source: specification of the rental planner, section 2, steps 1 to 3.
"""

from dataclasses import dataclass
from typing import Final

from engine.domain.configuration import Stage
from engine.domain.hardware import DeviceKind, GpuSpec
from engine.domain.model_spec import ModelSpec
from engine.domain.offer import Offer
from engine.planners.rental.options import RentalOptions

_TENSOR_PARALLEL: Final = (1, 2, 4, 8)
_LARGEST_PIPELINE: Final = 8  # for models that fit no other way


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSplit:
    """How a replica is split over accelerators."""

    tensor_parallel: int
    pipeline_parallel: int

    @property
    def num_gpus(self) -> int:
        """Accelerators of one replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def label(self) -> str:
        """Short name, e.g. `tp8` or `tp2-pp4`."""
        suffix = f"-pp{self.pipeline_parallel}" if self.pipeline_parallel > 1 else ""
        return f"tp{self.tensor_parallel}{suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyShape:
    """Machines that one copy rents, and the identical replicas on them."""

    machines: int
    replicas: int
    stages_per_machine: int


def list_splits(model: ModelSpec, gpu: GpuSpec, options: RentalOptions) -> tuple[ReplicaSplit, ...]:
    """Return the splits that vLLM accepts for the model, smallest first, deep pipelines behind all others.

    TP divides the attention heads, and divides or is a multiple of the KV heads. A CPU slot is one process.
    """
    if gpu.kind is DeviceKind.CPU:
        return (ReplicaSplit(tensor_parallel=1, pipeline_parallel=1),)
    splits = [
        ReplicaSplit(tensor_parallel=tensor_parallel, pipeline_parallel=pipeline_parallel)
        for tensor_parallel in _TENSOR_PARALLEL
        for pipeline_parallel in range(1, min(_LARGEST_PIPELINE, model.num_layers) + 1)
        if _divides_heads(model, tensor_parallel)
    ]
    kept = [split for split in splits if split.num_gpus <= options.max_gpus_per_replica]
    deepest = options.max_pipeline_parallel
    return tuple(
        sorted(kept, key=lambda split: (split.pipeline_parallel > deepest, split.num_gpus, split.pipeline_parallel))
    )


def _divides_heads(model: ModelSpec, tensor_parallel: int) -> bool:
    kv_heads = model.num_kv_heads
    fits_kv = kv_heads % tensor_parallel == 0 or tensor_parallel % kv_heads == 0
    return model.num_attention_heads % tensor_parallel == 0 and fits_kv


def find_copy_shape(offer: Offer, split: ReplicaSplit) -> CopyShape | None:
    """Return the machines of one copy: filled with replicas, or several joined by a pipeline.

    A tensor-parallel group stays inside one machine; None when it does not fit.
    """
    stages_per_machine = offer.gpu_count // split.tensor_parallel
    if stages_per_machine == 0:
        return None
    if stages_per_machine >= split.pipeline_parallel:
        replicas = offer.gpu_count // split.num_gpus
        return CopyShape(machines=1, replicas=replicas, stages_per_machine=stages_per_machine)
    machines = -(-split.pipeline_parallel // stages_per_machine)
    return CopyShape(machines=machines, replicas=1, stages_per_machine=stages_per_machine)


def split_layers(num_layers: int, num_stages: int) -> tuple[int, ...]:
    """Return vLLM's own partition: an even base, the remainder one each from the second-to-last stage backwards."""
    base, remainder = divmod(num_layers, num_stages)
    layers = [base] * num_stages
    for index in range(remainder):
        layers[(num_stages - 2 - index) % num_stages] += 1
    return tuple(layers)


def define_stages(offer: Offer, split: ReplicaSplit, shape: CopyShape, num_layers: int) -> tuple[Stage, ...]:
    """Return the stages of a copy's first replica, in pipeline order."""
    return tuple(
        Stage(
            offer_id=offer.id,
            machine_index=index // shape.stages_per_machine,
            gpu_name=offer.gpu_name,
            tensor_parallel=split.tensor_parallel,
            num_layers=layers,
        )
        for index, layers in enumerate(split_layers(num_layers, split.pipeline_parallel))
    )
