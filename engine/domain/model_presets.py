"""Models to start from, with the sizes of their published configurations.

Source: `config.json` of the model that `name` names, read 2026-11-25; keys that planning does not need are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPreset:
    """A named model.

    Attributes:
        id: stable word, e.g. `llama-3.1-8b`; name: name shown and served.
        config: what `parse_model_config` reads.
        is_local: whether this host makes the weights itself, so that a CPU slot can serve it.
    """

    id: str
    name: str
    config: Mapping[str, object]
    is_local: bool


def _define(
    preset_id: str, name: str, architecture: str, config: Mapping[str, object], *, is_local: bool = False
) -> ModelPreset:
    shared: dict[str, object] = {
        "architectures": (architecture,),
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": False,
    }
    return ModelPreset(id=preset_id, name=name, config=MappingProxyType({**shared, **config}), is_local=is_local)


_LLAMA_70B: Final[Mapping[str, object]] = {
    "model_type": "llama",
    "num_hidden_layers": 80,
    "hidden_size": 8192,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "intermediate_size": 28672,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
_PRESETS: Final = (
    _define(
        "llama-3.1-8b",
        "meta-llama/Llama-3.1-8B-Instruct",
        "LlamaForCausalLM",
        {
            "model_type": "llama",
            "num_hidden_layers": 32,
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 14336,
            "vocab_size": 128256,
            "max_position_embeddings": 131072,
        },
    ),
    _define("llama-3.1-70b", "meta-llama/Llama-3.1-70B-Instruct", "LlamaForCausalLM", _LLAMA_70B),
    _define(
        "qwen2.5-32b",
        "Qwen/Qwen2.5-32B-Instruct",
        "Qwen2ForCausalLM",
        {
            "model_type": "qwen2",
            "num_hidden_layers": 64,
            "hidden_size": 5120,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "intermediate_size": 27648,
            "vocab_size": 152064,
            "max_position_embeddings": 32768,
            "max_window_layers": 64,
            "sliding_window": 131072,
            "use_sliding_window": False,
        },
    ),
    _define(
        "qwen3-30b-a3b",
        "Qwen/Qwen3-30B-A3B",
        "Qwen3MoeForCausalLM",
        {
            "model_type": "qwen3_moe",
            "num_hidden_layers": 48,
            "hidden_size": 2048,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "intermediate_size": 6144,
            "moe_intermediate_size": 768,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "decoder_sparse_step": 1,
            "mlp_only_layers": (),
            "vocab_size": 151936,
            "max_position_embeddings": 40960,
        },
    ),
    _define(
        "deepseek-r1-distill-llama-70b",
        "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
        "LlamaForCausalLM",
        _LLAMA_70B,
    ),
    _define(
        "demo",
        "medley/demo",
        "LlamaForCausalLM",
        {
            "model_type": "llama",
            "num_hidden_layers": 8,
            "hidden_size": 512,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "intermediate_size": 1408,
            "vocab_size": 8192,
            "max_position_embeddings": 8192,
        },
        is_local=True,
    ),
)


def list_model_presets() -> tuple[ModelPreset, ...]:
    """Return all presets."""
    return _PRESETS
