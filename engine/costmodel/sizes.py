"""Sizes of a model: parameters, weight bytes, KV cache bytes.

With L layers, H hidden size, A heads, K KV heads, d head size, I MLP width, V vocabulary, E experts of width I_e of
which a token visits k and S more are shared, t tensor-parallel degree:

    attention, GQA   H A d + 2 H K d + A d H
    attention, MLA   H q + q A (d_nope + d_rope) + H (c + d_rope) + c A (d_nope + d_v) + A d_v H
    dense MLP        3 H I
    MoE layer        E 3 H I_e + S 3 H I_e + E H (router)
    whole model      layers with 2 H of norms each + V H embedding + V H head (none if tied) + H

    KV bytes per token, layer and accelerator: 2 max(1, K / t) d b (GQA), (c + d_rope) b undivided (MLA)

Biases and other vectors of a layer are left out: below 0.1 %. Source: cost model specification, section 1.
"""

from dataclasses import dataclass
from typing import Final

from engine.costmodel.shape import StageLayers, split_model
from engine.domain.model_spec import MlaSpec, ModelSpec, MoeSpec, WeightFormat

BYTES_16_BIT: Final = 2.0
_INT4_BYTES: Final = 0.5
_INT4_SCALE_BYTES: Final = 2.0  # one 16-bit scale a group
_BYTES_PER_WEIGHT: Final = {
    WeightFormat.BF16: BYTES_16_BIT,
    WeightFormat.FP8: 1.0,
    WeightFormat.NVFP4: 0.5625,  # 4 bit and an 8-bit scale for 16 weights
    WeightFormat.MXFP4: 0.53125,  # 4 bit and an 8-bit scale for 32 weights
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCount:
    """Parameters of the whole model, and those that one token is multiplied with.

    In a dense model that is all of them, by convention; in an MoE model the embedding is left out.
    """

    total: int
    active: int


def count_attention_parameters(model: ModelSpec) -> int:
    """Return the parameters of one layer's attention."""
    if model.mla is not None:
        return _count_mla_parameters(model, model.mla)
    width = model.num_attention_heads * model.head_dim
    return 2 * model.hidden_size * width + 2 * model.hidden_size * model.num_kv_heads * model.head_dim


def _count_mla_parameters(model: ModelSpec, mla: MlaSpec) -> int:
    hidden, heads = model.hidden_size, model.num_attention_heads
    query_width = heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    query = (hidden + query_width) * mla.q_lora_rank if mla.q_lora_rank else hidden * query_width
    down = hidden * (mla.kv_lora_rank + mla.qk_rope_head_dim)
    up = mla.kv_lora_rank * heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    return query + down + up + heads * mla.v_head_dim * hidden


def count_dense_mlp_parameters(model: ModelSpec) -> int:
    """Return the parameters of one dense layer's gated MLP."""
    return 3 * model.hidden_size * model.intermediate_size


def count_expert_parameters(model: ModelSpec, moe: MoeSpec) -> int:
    """Return the parameters of one expert."""
    return 3 * model.hidden_size * moe.expert_intermediate_size


def count_router_parameters(model: ModelSpec, moe: MoeSpec) -> int:
    """Return the parameters of one MoE layer's router."""
    return moe.num_experts * model.hidden_size


def count_parameters(model: ModelSpec) -> ParameterCount:
    """Return total and active parameters of the model."""
    (layers,) = split_model(model, (model.num_layers,))
    common = model.num_layers * (count_attention_parameters(model) + 2 * model.hidden_size)
    common += layers.num_dense_layers * count_dense_mlp_parameters(model)
    common += _count_vocabulary_parameters(model, layers) + model.hidden_size
    if model.moe is None:
        return ParameterCount(total=common, active=common)
    moe = model.moe
    common += layers.num_moe_layers * count_router_parameters(model, moe)
    expert = layers.num_moe_layers * count_expert_parameters(model, moe)
    looked_up = 0 if model.has_tied_embeddings else model.vocab_size * model.hidden_size
    return ParameterCount(
        total=common + expert * (moe.num_experts + moe.num_shared_experts),
        active=common - looked_up + expert * (moe.experts_per_token + moe.num_shared_experts),
    )


def _count_vocabulary_parameters(model: ModelSpec, layers: StageLayers) -> int:
    """Return the parameters of embedding and head on a stage; tied ones are one matrix where both are."""
    copies = layers.has_embedding + layers.has_head
    if copies == 2 and model.has_tied_embeddings:
        copies = 1
    return copies * model.vocab_size * model.hidden_size


def get_dense_bytes_per_weight(model: ModelSpec) -> float:
    """Return bytes per weight of attention, dense MLPs and shared experts."""
    return BYTES_16_BIT if model.has_quantized_experts_only else get_expert_bytes_per_weight(model)


def get_expert_bytes_per_weight(model: ModelSpec) -> float:
    """Return bytes per weight of the routed experts."""
    if model.weight_format is WeightFormat.INT4:
        return _INT4_BYTES + _INT4_SCALE_BYTES / model.quantization_group_size
    return _BYTES_PER_WEIGHT[model.weight_format]


def estimate_weight_bytes(model: ModelSpec, layers: StageLayers) -> float:
    """Return the weight bytes of a stage, all its accelerators together; embedding, head, norms, router 16 bit."""
    dense_bytes = get_dense_bytes_per_weight(model)
    quantised = layers.num_layers * count_attention_parameters(model)
    quantised += layers.num_dense_layers * count_dense_mlp_parameters(model)
    norms = (2 * layers.num_layers + layers.has_head) * model.hidden_size
    plain = norms + _count_vocabulary_parameters(model, layers)
    if model.moe is None:
        return quantised * dense_bytes + plain * BYTES_16_BIT
    expert = layers.num_moe_layers * count_expert_parameters(model, model.moe)
    quantised += expert * model.moe.num_shared_experts
    plain += layers.num_moe_layers * count_router_parameters(model, model.moe)
    experts_bytes = expert * model.moe.num_experts * get_expert_bytes_per_weight(model)
    return quantised * dense_bytes + plain * BYTES_16_BIT + experts_bytes


def get_kv_bytes_per_layer(model: ModelSpec, tensor_parallel: int) -> float:
    """Return KV cache bytes of one token in one layer on each accelerator [bytes]."""
    if model.mla is not None:
        return float((model.mla.kv_lora_rank + model.mla.qk_rope_head_dim) * model.kv_bytes_per_value)
    heads = max(1.0, model.num_kv_heads / tensor_parallel)
    return 2 * heads * model.head_dim * model.kv_bytes_per_value
