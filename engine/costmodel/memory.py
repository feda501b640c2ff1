"""Memory fit: how many tokens of KV cache a replica has room for.

    free      = U M - W / t - act - X
    kv_tokens = block floor( free / (block KV bytes per token of the stage's layers) ), smallest over the stages
    act       = max_num_batched_tokens (2 H + 3 I / t) 2 bytes      (MoE: I is (k + S) I_e)

U is `gpu_memory_utilization`, M the memory the driver shows, W the stage's weights. Two measured rows fix X and
hardly test `act`: +- 0.5 GiB. A sliding layer is counted like a full one although it holds no more than its window:
the capacity is then too low, never too high.

A CPU shard is given a fixed KV cache instead; it fits when weights, cache and process fit its slot.
Source: cost model specification, section 2.
"""

from typing import Final

from engine.costmodel.shape import ReplicaShape, StageLayers, StageShape, split_model
from engine.costmodel.sizes import estimate_weight_bytes, get_kv_bytes_per_layer
from engine.domain.hardware import DeviceKind
from engine.domain.model_spec import ModelSpec
from engine.units import GIB, MIB

# What the node agent gives every CPU shard (vLLM on the CPU touches all of it); we choose.
CPU_KV_CACHE_BYTES: Final = 256 * MIB

_OTHER_BYTES: Final = 0.33 * GIB  # X: libraries, sampler, graphs; from the two H200 `init` rows
_GPU_BLOCK_TOKENS: Final = 16
_CPU_BLOCK_TOKENS: Final = 128  # vLLM's default on the CPU
_ACTIVATION_BYTES: Final = 2


def compute_kv_tokens(shape: ReplicaShape, *, memory_bytes: tuple[float, ...]) -> int:
    """Return the KV cache capacity of a replica [tokens]; 0 when the weights leave no room.

    Args:
        shape: the replica.
        memory_bytes: memory that one accelerator of each stage shows [bytes].
    """
    parts = split_model(shape.model, tuple(stage.num_layers for stage in shape.stages))
    return min(
        _compute_stage_tokens(shape, stage, layers, stage_bytes)
        for stage, layers, stage_bytes in zip(shape.stages, parts, memory_bytes, strict=True)
    )


def _compute_stage_tokens(shape: ReplicaShape, stage: StageShape, layers: StageLayers, memory_bytes: float) -> int:
    used_bytes = estimate_weight_bytes(shape.model, layers) / stage.tensor_parallel + _OTHER_BYTES
    used_bytes += _estimate_activation_bytes(shape, stage)
    kv_bytes = get_kv_bytes_per_layer(shape.model, stage.tensor_parallel) * layers.num_layers
    if stage.gpu.kind is DeviceKind.CPU:
        fits = used_bytes + CPU_KV_CACHE_BYTES <= memory_bytes
        return _count_block_tokens(CPU_KV_CACHE_BYTES, kv_bytes, _CPU_BLOCK_TOKENS) if fits else 0
    free_bytes = shape.gpu_memory_utilization * memory_bytes - used_bytes
    return _count_block_tokens(max(0.0, free_bytes), kv_bytes, _GPU_BLOCK_TOKENS)


def _count_block_tokens(free_bytes: float, kv_bytes_per_token: float, block_tokens: int) -> int:
    return block_tokens * int(free_bytes // (block_tokens * kv_bytes_per_token))


def _estimate_activation_bytes(shape: ReplicaShape, stage: StageShape) -> float:
    width = 2 * shape.model.hidden_size + 3 * _get_mlp_width(shape.model) / stage.tensor_parallel
    return shape.max_num_batched_tokens * width * _ACTIVATION_BYTES


def _get_mlp_width(model: ModelSpec) -> int:
    if model.moe is None:
        return model.intermediate_size
    return (model.moe.experts_per_token + model.moe.num_shared_experts) * model.moe.expert_intermediate_size
