"""Model specs from config.json: every family, what is refused, the published files."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.costmodel.sizes import count_parameters, get_kv_bytes_per_layer
from engine.domain.model_config import InvalidModelConfigError, parse_model_config
from engine.domain.model_spec import MlaSpec, ModelSpec, MoeSpec, WeightFormat

LLAMA: Mapping[str, object] = {
    "architectures": ["LlamaForCausalLM"],
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
DEEPSEEK: Mapping[str, object] = {
    **LLAMA,
    "architectures": ["DeepseekV3ForCausalLM"],
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
}


def _parse(config: Mapping[str, object], **changes: object) -> ModelSpec:
    return parse_model_config({**config, **changes}, model_id="m", name="org/m")


def _without(config: Mapping[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in config.items() if name != key}


class TestParseModelConfig:
    def test_reads_a_dense_model(self) -> None:
        assert _parse(LLAMA) == ModelSpec(
            id="m",
            name="org/m",
            num_layers=32,
            hidden_size=4096,
            num_attention_heads=32,
            num_kv_heads=8,
            head_dim=128,
            intermediate_size=14336,
            vocab_size=128256,
            max_context_tokens=131072,
        )

    @pytest.mark.parametrize(
        "architecture", ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"]
    )
    def test_reads_every_dense_family_alike(self, architecture: str) -> None:
        assert _parse(LLAMA, architectures=[architecture]) == _parse(LLAMA)

    def test_takes_the_head_size_that_the_file_gives(self) -> None:
        assert _parse(LLAMA, head_dim=64).head_dim == 64

    def test_gives_every_head_its_own_cache_when_kv_heads_are_not_said(self) -> None:
        assert _parse(_without(LLAMA, "num_key_value_heads")).num_kv_heads == 32

    def test_ties_embeddings_on_request_only(self) -> None:
        assert _parse(LLAMA, tie_word_embeddings=True).has_tied_embeddings
        assert not _parse(_without(LLAMA, "tie_word_embeddings")).has_tied_embeddings

    @pytest.mark.parametrize("architecture", ["MixtralForCausalLM", "GptOssForCausalLM", "MiniMaxM2ForCausalLM"])
    def test_reads_local_experts(self, architecture: str) -> None:
        spec = _parse(LLAMA, architectures=[architecture], num_local_experts=8, num_experts_per_tok=2)
        assert spec.moe == MoeSpec(num_experts=8, experts_per_token=2, expert_intermediate_size=14336)

    def test_reads_qwen_experts(self) -> None:
        experts = {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
        spec = _parse({**LLAMA, **experts}, architectures=["Qwen3MoeForCausalLM"])
        assert spec.moe == MoeSpec(num_experts=128, experts_per_token=8, expert_intermediate_size=768)

    @pytest.mark.parametrize(
        ("changes", "num_dense_layers"),
        [({"decoder_sparse_step": 2}, 16), ({"mlp_only_layers": [0, 1, 2]}, 3), ({"mlp_only_layers": []}, 0)],
    )
    def test_counts_qwen_layers_that_do_not_route(self, changes: dict[str, object], num_dense_layers: int) -> None:
        experts = {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
        spec = _parse({**LLAMA, **experts, **changes}, architectures=["Qwen3MoeForCausalLM"])
        assert spec.moe is not None
        assert spec.moe.num_dense_layers == num_dense_layers

    def test_reads_latent_attention_and_shared_experts(self) -> None:
        spec = _parse(DEEPSEEK)
        assert spec.mla == MlaSpec(
            q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128
        )
        assert spec.moe == MoeSpec(
            num_experts=256,
            experts_per_token=8,
            expert_intermediate_size=2048,
            num_shared_experts=1,
            num_dense_layers=3,
        )
        assert spec.head_dim == 192

    def test_reads_latent_attention_without_a_query_rank(self) -> None:
        spec = _parse(DEEPSEEK, architectures=["DeepseekV2ForCausalLM"], q_lora_rank=None)
        assert spec.mla is not None
        assert spec.mla.q_lora_rank == 0


class TestSlidingWindow:
    def test_counts_the_layers_that_the_file_names(self) -> None:
        layer_types = ["sliding_attention", "full_attention"] * 16
        spec = _parse(LLAMA, sliding_window=128, layer_types=layer_types)
        assert (spec.sliding_window, spec.num_sliding_layers) == (128, 16)

    def test_holds_for_every_layer_when_none_is_named(self) -> None:
        spec = _parse(LLAMA, architectures=["MistralForCausalLM"], sliding_window=4096)
        assert (spec.sliding_window, spec.num_sliding_layers) == (4096, 32)

    @pytest.mark.parametrize("changes", [{}, {"use_sliding_window": False}])
    def test_is_off_in_qwen_unless_switched_on(self, changes: dict[str, object]) -> None:
        spec = _parse({**LLAMA, **changes}, architectures=["Qwen2ForCausalLM"], sliding_window=4096)
        assert (spec.sliding_window, spec.num_sliding_layers) == (0, 0)

    def test_begins_at_the_layer_that_qwen_gives(self) -> None:
        changes = {"use_sliding_window": True, "max_window_layers": 28}
        spec = _parse({**LLAMA, **changes}, architectures=["Qwen2ForCausalLM"], sliding_window=4096)
        assert (spec.sliding_window, spec.num_sliding_layers) == (4096, 4)

    def test_refuses_types_of_other_layers(self) -> None:
        with pytest.raises(InvalidModelConfigError, match="layer_types names 2 layers of 32"):
            _parse(LLAMA, sliding_window=128, layer_types=["full_attention"] * 2)


class TestQuantization:
    @pytest.mark.parametrize(
        ("section", "weight_format", "group_size"),
        [
            ({"quant_method": "fp8", "weight_block_size": [128, 128]}, WeightFormat.FP8, 128),
            ({"quant_method": "awq", "bits": 4, "group_size": 64}, WeightFormat.INT4, 64),
            ({"quant_method": "gptq", "bits": 4, "group_size": -1}, WeightFormat.INT4, 128),
            ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, WeightFormat.NVFP4, 128),
            ({"quant_method": "modelopt", "quant_algo": "FP8"}, WeightFormat.FP8, 128),
        ],
    )
    def test_is_read(self, section: dict[str, object], weight_format: WeightFormat, group_size: int) -> None:
        spec = _parse(LLAMA, quantization_config=section)
        assert (spec.weight_format, spec.quantization_group_size) == (weight_format, group_size)
        assert not spec.has_quantized_experts_only

    @pytest.mark.parametrize(
        ("weights", "weight_format"),
        [
            ({"num_bits": 8, "type": "float", "group_size": None}, WeightFormat.FP8),
            ({"num_bits": 4, "type": "int", "group_size": 32}, WeightFormat.INT4),
            ({"num_bits": 4, "type": "float", "group_size": 16}, WeightFormat.NVFP4),
        ],
    )
    def test_is_read_from_compressed_tensors(self, weights: dict[str, object], weight_format: WeightFormat) -> None:
        section = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}
        spec = _parse(LLAMA, quantization_config=section)
        assert spec.weight_format is weight_format
        assert spec.quantization_group_size == (weights["group_size"] or 128)

    def test_leaves_all_but_the_experts_where_attention_is_ignored(self) -> None:
        section = {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}},
            "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"],
        }
        assert _parse(DEEPSEEK, quantization_config=section).has_quantized_experts_only
        section["ignore"] = ["lm_head"]
        assert not _parse(DEEPSEEK, quantization_config=section).has_quantized_experts_only

    def test_is_of_experts_only_in_mxfp4(self) -> None:
        spec = _parse(
            LLAMA,
            architectures=["GptOssForCausalLM"],
            num_local_experts=128,
            num_experts_per_tok=4,
            quantization_config={"quant_method": "mxfp4"},
        )
        assert spec.weight_format is WeightFormat.MXFP4
        assert spec.has_quantized_experts_only

    @pytest.mark.parametrize(
        ("section", "field"),
        [
            ("fp8", "quantization_config"),
            ({}, "quantization_config.quant_method"),
            ({"quant_method": "bitsandbytes"}, "quantization_config.quant_method"),
            ({"quant_method": ["fp8"]}, "quantization_config.quant_method"),
            ({"quant_method": "gptq", "bits": 8}, "quantization_config.bits"),
            ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "quantization_config.quant_algo"),
            ({"quant_method": "compressed-tensors"}, "quantization_config.config_groups"),
            (
                {
                    "quant_method": "compressed-tensors",
                    "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int"}}},
                },
                "quantization_config.config_groups",
            ),
        ],
    )
    def test_is_refused_when_unknown(self, section: object, field: str) -> None:
        with pytest.raises(InvalidModelConfigError) as error:
            _parse(LLAMA, quantization_config=section)
        assert error.value.field == field


class TestRefusals:
    @pytest.mark.parametrize(
        "key",
        [
            "architectures",
            "num_hidden_layers",
            "hidden_size",
            "num_attention_heads",
            "intermediate_size",
            "vocab_size",
            "max_position_embeddings",
        ],
    )
    def test_name_the_missing_key(self, key: str) -> None:
        with pytest.raises(InvalidModelConfigError) as error:
            _parse(_without(LLAMA, key))
        assert error.value.field == key
        assert error.value.message == f"config.json: {key} is missing"
        assert error.value.remedy == "give the complete config.json that the model is published with"

    @pytest.mark.parametrize(
        "key",
        ["kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "n_routed_experts",
         "num_experts_per_tok", "moe_intermediate_size"],
    )  # fmt: skip
    def test_name_the_missing_key_of_a_family(self, key: str) -> None:
        with pytest.raises(InvalidModelConfigError) as error:
            _parse(_without(DEEPSEEK, key))
        assert error.value.field == key

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("num_hidden_layers", "32", "num_hidden_layers is '32', not a whole number"),
            ("num_hidden_layers", True, "num_hidden_layers is True, not a whole number"),
            ("num_hidden_layers", 0, "num_hidden_layers is 0, not between 1 and 10000"),
            ("hidden_size", 4096.0, "hidden_size is 4096.0, not a whole number"),
            ("vocab_size", 10**9, "vocab_size is 1000000000, not between 1 and 100000000"),
            ("num_key_value_heads", 5, "num_key_value_heads is 5, which does not divide 32 attention heads"),
            ("hidden_size", 4097, "head_dim is missing, and hidden_size 4097 is no multiple of 32 heads"),
            ("tie_word_embeddings", "no", "tie_word_embeddings is 'no', not true or false"),
            ("torch_dtype", "int8", "torch_dtype is 'int8'"),
            ("dtype", ["bfloat16"], "dtype is ['bfloat16']"),
            ("architectures", "LlamaForCausalLM", "architectures is 'LlamaForCausalLM', not a list"),
        ],
    )
    def test_name_the_wrong_key(self, key: str, value: object, message: str) -> None:
        with pytest.raises(InvalidModelConfigError) as error:
            _parse(LLAMA, **{key: value})
        assert error.value.message == f"config.json: {message}"

    def test_send_encoders_away(self) -> None:
        with pytest.raises(InvalidModelConfigError, match="BertForMaskedLM, which is not a decoder-only") as error:
            _parse(LLAMA, architectures=["BertForMaskedLM"])
        assert error.value.remedy.startswith("give a model with one of LlamaForCausalLM, ")
        with pytest.raises(InvalidModelConfigError) as error:
            _parse(LLAMA, is_encoder_decoder=True)
        assert error.value.field == "is_encoder_decoder"

    def test_send_unknown_decoders_away(self) -> None:
        with pytest.raises(InvalidModelConfigError, match="MambaForCausalLM, which cannot be planned yet"):
            _parse(LLAMA, architectures=["MambaForCausalLM"])

    def test_refuse_more_experts_per_token_than_there_are(self) -> None:
        with pytest.raises(InvalidModelConfigError, match="num_experts_per_tok is 300, not between 1 and 256"):
            _parse(DEEPSEEK, num_experts_per_tok=300)

    def test_refuse_layers_that_route_now_and_then(self) -> None:
        with pytest.raises(InvalidModelConfigError, match="moe_layer_freq"):
            _parse(DEEPSEEK, moe_layer_freq=2)


@pytest.mark.data
class TestPublishedFiles:
    @pytest.mark.parametrize(
        ("file", "total_billions", "active_billions", "kv_bytes"),
        [
            ("h200/models/llama3-8b.json", 8.030261248, 8.030261248, 131_072),
            ("h200/models/llama3-70b.json", 70.553706496, 70.553706496, 327_680),
            ("models/Qwen3-32B.json", 32.76, 32.76, 262_144),
            ("models/MiniMax-M2.5.json", 228.7, 10.4, 253_952),
            ("models/gpt-oss-120b.json", 116.8, 5.1, 73_728),
            ("models/Qwen3-235B-A22B-FP8.json", 235.1, 21.6, 192_512),
            ("models/Kimi-K2.5.json", 1026.4, 31.7, 70_272),
        ],
    )
    def test_give_the_published_sizes(
        self, file: str, total_billions: float, active_billions: float, kv_bytes: int, data_dir: Path
    ) -> None:
        spec = _parse(json.loads((data_dir / file).read_text()))
        count = count_parameters(spec)
        assert count.total / 1e9 == pytest.approx(total_billions, abs=0.05)
        assert count.active / 1e9 == pytest.approx(active_billions, abs=0.05)
        assert spec.num_layers * get_kv_bytes_per_layer(spec, 1) == kv_bytes


class TestDenseFamilies:
    @pytest.mark.parametrize("field", ["num_local_experts", "num_experts", "n_routed_experts"])
    def test_refuse_experts_by_name(self, field: str) -> None:
        with pytest.raises(
            InvalidModelConfigError, match="is 8, but models of this architecture have no experts"
        ) as caught:
            parse_model_config({**LLAMA, field: 8}, model_id="m", name="M")
        assert caught.value.field == field

    @pytest.mark.parametrize("count", [None, 0, 1])
    def test_take_a_count_that_means_none(self, count: int | None) -> None:
        assert parse_model_config({**LLAMA, "num_local_experts": count}, model_id="m", name="M").moe is None
