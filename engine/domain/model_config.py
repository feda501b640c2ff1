"""Model specs from a model's Hugging Face `config.json`.

Decoder-only transformers with gated MLPs are read; what their keys mean differs by family, see `_FAMILIES`.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from engine.domain.config_reader import ConfigReader, InvalidModelConfigError, refuse_config
from engine.domain.model_spec import MlaSpec, ModelSpec, MoeSpec
from engine.domain.quantization_config import parse_quantization

__all__ = ["InvalidModelConfigError", "parse_model_config"]

_MOST_LAYERS: Final = 10_000
_SIXTEEN_BIT: Final = frozenset({"bfloat16", "float16", "float32"})  # the engine serves float32 weights in 16 bit
_EXPERT_COUNTS: Final = ("num_local_experts", "num_experts", "n_routed_experts")


class _Family(Enum):
    """Which keys describe the MLPs."""

    DENSE = auto()
    LOCAL_EXPERTS = auto()  # num_local_experts of intermediate_size
    QWEN_MOE = auto()  # num_experts of moe_intermediate_size
    DEEPSEEK = auto()  # n_routed_experts of moe_intermediate_size, shared ones, MLA


_FAMILIES: Final = {
    "LlamaForCausalLM": _Family.DENSE,
    "MistralForCausalLM": _Family.DENSE,
    "Qwen2ForCausalLM": _Family.DENSE,
    "Qwen3ForCausalLM": _Family.DENSE,
    "MixtralForCausalLM": _Family.LOCAL_EXPERTS,
    "GptOssForCausalLM": _Family.LOCAL_EXPERTS,
    "MiniMaxM2ForCausalLM": _Family.LOCAL_EXPERTS,
    "Qwen3MoeForCausalLM": _Family.QWEN_MOE,
    "DeepseekV2ForCausalLM": _Family.DEEPSEEK,
    "DeepseekV3ForCausalLM": _Family.DEEPSEEK,
}


def parse_model_config(config: Mapping[str, object], *, model_id: str, name: str) -> ModelSpec:
    """Return the model spec that a `config.json` describes.

    A file without `torch_dtype` is read as 16 bit: whatever the weights are stored in, they are served so.

    Args:
        config: the file's content.
        model_id: Medley's id of the model; name: the name shown and served.
    Raises:
        InvalidModelConfigError: a key is missing or wrong, or the model is no decoder-only model of a known family.
    """
    reader = ConfigReader(config)
    family = _get_family(reader)
    _check_dtype(config)
    num_layers = reader.get_int("num_hidden_layers", largest=_MOST_LAYERS)
    mla = _parse_mla(reader) if family is _Family.DEEPSEEK else None
    num_heads = reader.get_int("num_attention_heads")
    quantization = parse_quantization(config)
    window = _parse_window(reader)
    return ModelSpec(
        id=model_id,
        name=name,
        num_layers=num_layers,
        hidden_size=reader.get_int("hidden_size"),
        num_attention_heads=num_heads,
        num_kv_heads=_get_kv_heads(reader, num_heads),
        head_dim=_get_head_dim(reader, num_heads) if mla is None else mla.qk_nope_head_dim + mla.qk_rope_head_dim,
        intermediate_size=reader.get_int("intermediate_size"),
        vocab_size=reader.get_int("vocab_size"),
        max_context_tokens=reader.get_int("max_position_embeddings"),
        has_tied_embeddings=reader.get_bool("tie_word_embeddings", default=False),
        weight_format=quantization.weight_format,
        moe=_parse_moe(reader, family, num_layers),
        mla=mla,
        sliding_window=window,
        num_sliding_layers=_count_sliding_layers(reader, num_layers) if window else 0,
        has_quantized_experts_only=quantization.has_quantized_experts_only,
        quantization_group_size=quantization.group_size,
    )


def _get_family(reader: ConfigReader) -> _Family:
    if reader.get_bool("is_encoder_decoder", default=False):
        raise refuse_config("is_encoder_decoder", "is true", "give the config.json of a decoder-only model")
    architectures = reader.get_list("architectures")
    if not architectures:
        raise refuse_config("architectures", "is missing")
    architecture = str(architectures[0])
    family = _FAMILIES.get(architecture)
    if family is None:
        is_decoder = architecture.endswith("ForCausalLM")
        reason = "which cannot be planned yet" if is_decoder else "which is not a decoder-only language model"
        known = ", ".join(_FAMILIES)
        raise refuse_config("architectures", f"names {architecture}, {reason}", f"give a model with one of {known}")
    return family


def _check_dtype(config: Mapping[str, object]) -> None:
    """Refuse weights that the engine would not serve in 16 bit; newer files say `dtype`."""
    field = "dtype" if config.get("dtype") is not None else "torch_dtype"
    dtype = config.get(field)
    if dtype is not None and str(dtype) not in _SIXTEEN_BIT:
        raise refuse_config(field, f"is {dtype!r}", f"give one of {', '.join(sorted(_SIXTEEN_BIT))}")


def _get_kv_heads(reader: ConfigReader, num_heads: int) -> int:
    num_kv_heads = reader.find_int("num_key_value_heads") or num_heads
    if num_heads % num_kv_heads != 0:
        raise refuse_config(
            "num_key_value_heads", f"is {num_kv_heads}, which does not divide {num_heads} attention heads"
        )
    return num_kv_heads


def _get_head_dim(reader: ConfigReader, num_heads: int) -> int:
    head_dim = reader.find_int("head_dim")
    if head_dim is not None:
        return head_dim
    hidden_size = reader.get_int("hidden_size")
    if hidden_size % num_heads != 0:
        raise refuse_config(
            "head_dim", f"is missing, and hidden_size {hidden_size} is no multiple of {num_heads} heads"
        )
    return hidden_size // num_heads


def _parse_mla(reader: ConfigReader) -> MlaSpec:
    return MlaSpec(
        q_lora_rank=reader.find_int("q_lora_rank") or 0,
        kv_lora_rank=reader.get_int("kv_lora_rank"),
        qk_nope_head_dim=reader.get_int("qk_nope_head_dim"),
        qk_rope_head_dim=reader.get_int("qk_rope_head_dim"),
        v_head_dim=reader.get_int("v_head_dim"),
    )


def _parse_moe(reader: ConfigReader, family: _Family, num_layers: int) -> MoeSpec | None:
    if family is _Family.DENSE:
        _check_dense(reader)
        return None
    if family is _Family.LOCAL_EXPERTS:
        return _define_moe(reader, "num_local_experts", "intermediate_size")
    if family is _Family.QWEN_MOE:
        num_dense_layers = _count_qwen_dense_layers(reader, num_layers)
        return _define_moe(reader, "num_experts", "moe_intermediate_size", num_dense_layers=num_dense_layers)
    if reader.find_int("moe_layer_freq") not in {None, 1}:
        raise refuse_config("moe_layer_freq", "is not 1", "give a model in which every later layer routes")
    return _define_moe(
        reader,
        "n_routed_experts",
        "moe_intermediate_size",
        num_shared_experts=reader.find_int("n_shared_experts", smallest=0) or 0,
        num_dense_layers=reader.find_int("first_k_dense_replace", smallest=0, largest=num_layers) or 0,
    )


def _check_dense(reader: ConfigReader) -> None:
    """Refuse experts in a family that has none: planned as dense, the model would seem far smaller than it is."""
    for field in _EXPERT_COUNTS:
        num_experts = reader.find_int(field, smallest=0) or 0
        if num_experts > 1:
            raise refuse_config(field, f"is {num_experts}, but models of this architecture have no experts")


def _define_moe(
    reader: ConfigReader, experts: str, width: str, *, num_shared_experts: int = 0, num_dense_layers: int = 0
) -> MoeSpec:
    num_experts = reader.get_int(experts)
    return MoeSpec(
        num_experts=num_experts,
        experts_per_token=reader.get_int("num_experts_per_tok", largest=num_experts),
        expert_intermediate_size=reader.get_int(width),
        num_shared_experts=num_shared_experts,
        num_dense_layers=num_dense_layers,
    )


def _count_qwen_dense_layers(reader: ConfigReader, num_layers: int) -> int:
    """Return layers that do not route: those listed, and all but every `decoder_sparse_step`-th."""
    step = reader.find_int("decoder_sparse_step") or 1
    listed = reader.get_list("mlp_only_layers")
    return sum(index in listed or (index + 1) % step != 0 for index in range(num_layers))


def _parse_window(reader: ConfigReader) -> int:
    """Return the sliding window [tokens]; 0 when there is none, or the model does not switch it on (Qwen)."""
    window = reader.find_int("sliding_window", smallest=0) or 0
    has_switch = str(reader.get_list("architectures")[0]).startswith("Qwen")
    return window if reader.get_bool("use_sliding_window", default=not has_switch) else 0


def _count_sliding_layers(reader: ConfigReader, num_layers: int) -> int:
    """Return layers that use the window: those `layer_types` names, else those from `max_window_layers` on."""
    layer_types = reader.get_list("layer_types")
    if not layer_types:
        return num_layers - min(reader.find_int("max_window_layers", smallest=0) or 0, num_layers)
    if len(layer_types) != num_layers:
        raise refuse_config("layer_types", f"names {len(layer_types)} layers of {num_layers}")
    return sum(layer_type == "sliding_attention" for layer_type in layer_types)
