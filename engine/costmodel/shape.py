"""What an estimate is asked for: a model on pipeline stages, with the engine's limits."""

from dataclasses import dataclass

from engine.domain.hardware import GpuSpec
from engine.domain.model_spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StageShape:
    """One pipeline stage: `num_layers` layers shared by `tensor_parallel` accelerators of one type."""

    gpu: GpuSpec
    tensor_parallel: int
    num_layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaShape:
    """One replica.

    Attributes:
        stages: pipeline stages in order; their layers sum to the model's.
        max_num_seqs: requests that may be in service at once.
        max_num_batched_tokens: tokens that one engine step may process.
        gpu_memory_utilization: part of the memory the engine may use, 0..1.
    """

    model: ModelSpec
    stages: tuple[StageShape, ...]
    max_num_seqs: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLayers:
    """Which layers of the model a stage holds.

    Attributes:
        num_dense_layers: layers with a dense MLP; the others route to experts.
        num_sliding_layers: layers that look back over the window only.
        has_embedding, has_head: whether this is the first, the last stage.
    """

    num_layers: int
    num_dense_layers: int
    num_sliding_layers: int
    has_embedding: bool
    has_head: bool

    @property
    def num_moe_layers(self) -> int:
        """Layers that route to experts."""
        return self.num_layers - self.num_dense_layers

    @property
    def num_full_layers(self) -> int:
        """Layers that look back over the whole context."""
        return self.num_layers - self.num_sliding_layers


def split_model(model: ModelSpec, layers_per_stage: tuple[int, ...]) -> tuple[StageLayers, ...]:
    """Return what each stage holds: dense layers come first, sliding layers are spread evenly."""
    ends = [sum(layers_per_stage[: index + 1]) for index in range(len(layers_per_stage))]
    return tuple(
        StageLayers(
            num_layers=count,
            num_dense_layers=_count_dense(model, end) - _count_dense(model, end - count),
            num_sliding_layers=_count_sliding(model, end) - _count_sliding(model, end - count),
            has_embedding=index == 0,
            has_head=index == len(ends) - 1,
        )
        for index, (end, count) in enumerate(zip(ends, layers_per_stage, strict=True))
    )


def _count_dense(model: ModelSpec, end: int) -> int:
    """Return how many of the first `end` layers are dense."""
    return end if model.moe is None else min(end, model.moe.num_dense_layers)


def _count_sliding(model: ModelSpec, end: int) -> int:
    """Return how many of the first `end` layers use the window."""
    return end * model.num_sliding_layers // model.num_layers
