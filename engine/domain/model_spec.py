"""What planning needs to know of a model."""

from dataclasses import dataclass
from enum import StrEnum


class WeightFormat(StrEnum):
    """Storage format of the matmul weights."""

    BF16 = "bfloat16"
    FP8 = "fp8"
    INT4 = "int4"
    NVFP4 = "nvfp4"
    MXFP4 = "mxfp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoeSpec:
    """Mixture-of-experts shape.

    Attributes:
        num_experts: routed experts per MoE layer (E).
        experts_per_token: routed experts a token visits (k).
        expert_intermediate_size: MLP width of one routed expert (I_e).
        num_shared_experts: experts every token visits (S).
        num_dense_layers: leading layers with a dense MLP.
    """

    num_experts: int
    experts_per_token: int
    expert_intermediate_size: int
    num_shared_experts: int = 0
    num_dense_layers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MlaSpec:
    """Multi-head latent attention shape (ranks and head sizes)."""

    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Shape of a decoder-only transformer, read from its Hugging Face `config.json`.

    Attributes:
        id: Medley's id, e.g. `llama-3.1-70b`; unique in one plan.
        name: name shown and served, e.g. `meta-llama/Llama-3.1-70B-Instruct`.
        sliding_window: tokens a sliding layer can look back; 0 when there is none.
        num_sliding_layers: layers that use the window.
        has_quantized_experts_only: whether `weight_format` holds for the routed experts alone, the rest being 16 bit.
        quantization_group_size: weights that share one scale; matters for `int4` only.
    """

    id: str
    name: str
    num_layers: int
    hidden_size: int
    num_attention_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_context_tokens: int
    has_tied_embeddings: bool = False
    weight_format: WeightFormat = WeightFormat.BF16
    kv_bytes_per_value: int = 2
    moe: MoeSpec | None = None
    mla: MlaSpec | None = None
    sliding_window: int = 0
    num_sliding_layers: int = 0
    has_quantized_experts_only: bool = False
    quantization_group_size: int = 128
