"""Model sizes against published counts."""

from dataclasses import replace

import pytest

from engine.costmodel.shape import split_model
from engine.costmodel.sizes import count_parameters, estimate_weight_bytes, get_kv_bytes_per_layer
from engine.domain.model_spec import ModelSpec, WeightFormat


def _get_kv_bytes(model: ModelSpec, tensor_parallel: int = 1) -> float:
    return model.num_layers * get_kv_bytes_per_layer(model, tensor_parallel)


def _get_weight_bytes(model: ModelSpec) -> float:
    (whole,) = split_model(model, (model.num_layers,))
    return estimate_weight_bytes(model, whole)


class TestCountParameters:
    def test_is_exact_for_the_measured_models(self, llama_8b: ModelSpec, llama_70b: ModelSpec) -> None:
        assert count_parameters(llama_8b).total == count_parameters(llama_8b).active == 8_030_261_248
        assert count_parameters(llama_70b).total == count_parameters(llama_70b).active == 70_553_706_496

    @pytest.mark.parametrize(
        ("fixture", "total_billions", "active_billions"),
        [
            ("qwen3_32b", 32.76, 32.76),
            ("minimax", 228.7, 10.4),
            ("gpt_oss", 116.8, 5.1),
            ("qwen3_235b", 235.1, 21.6),
            ("kimi", 1026.0, 31.7),
        ],
    )
    def test_agrees_with_published_counts(
        self, fixture: str, total_billions: float, active_billions: float, request: pytest.FixtureRequest
    ) -> None:
        count = count_parameters(request.getfixturevalue(fixture))
        assert count.total / 1e9 == pytest.approx(total_billions, rel=6e-4)
        assert count.active / 1e9 == pytest.approx(active_billions, abs=0.05)

    def test_counts_tied_embeddings_once(self, llama_8b: ModelSpec) -> None:
        tied = replace(llama_8b, has_tied_embeddings=True)
        assert count_parameters(llama_8b).total - count_parameters(tied).total == 128_256 * 4096

    def test_takes_a_projection_without_a_query_rank(self, kimi: ModelSpec) -> None:
        assert kimi.mla is not None
        plain = replace(kimi, mla=replace(kimi.mla, q_lora_rank=0))
        per_layer = 7168 * 64 * 192 - (7168 + 64 * 192) * 1536
        assert count_parameters(plain).total - count_parameters(kimi).total == 61 * per_layer


class TestGetKvBytesPerLayer:
    @pytest.mark.parametrize(
        ("fixture", "expected"),
        [
            ("llama_8b", 131_072),
            ("llama_70b", 327_680),
            ("qwen3_32b", 262_144),
            ("minimax", 253_952),
            ("gpt_oss", 73_728),
            ("qwen3_235b", 192_512),
            ("kimi", 70_272),
        ],
    )
    def test_agrees_with_published_shapes(self, fixture: str, expected: int, request: pytest.FixtureRequest) -> None:
        assert _get_kv_bytes(request.getfixturevalue(fixture)) == expected

    def test_is_shared_by_tensor_parallel_accelerators(self, llama_70b: ModelSpec) -> None:
        assert _get_kv_bytes(llama_70b, 2) == 327_680 / 2

    def test_is_replicated_where_heads_are_fewer_than_accelerators(self, qwen3_235b: ModelSpec) -> None:
        assert _get_kv_bytes(qwen3_235b, 8) == _get_kv_bytes(qwen3_235b, 4) == 192_512 / 4

    def test_is_never_divided_in_latent_attention(self, kimi: ModelSpec) -> None:
        assert _get_kv_bytes(kimi, 8) == 70_272

    def test_is_halved_by_an_8_bit_cache(self, llama_8b: ModelSpec) -> None:
        assert _get_kv_bytes(replace(llama_8b, kv_bytes_per_value=1)) == 65_536


class TestEstimateWeightBytes:
    def test_is_two_bytes_a_parameter_in_16_bit(self, llama_8b: ModelSpec, kimi: ModelSpec) -> None:
        assert _get_weight_bytes(llama_8b) == 2 * 8_030_261_248
        assert _get_weight_bytes(kimi) == 2 * count_parameters(kimi).total

    def test_leaves_embedding_head_and_norms_in_16_bit(self, llama_8b: ModelSpec) -> None:
        plain = 2 * 128_256 * 4096 + 65 * 4096
        quantised = 8_030_261_248 - plain
        assert _get_weight_bytes(replace(llama_8b, weight_format=WeightFormat.FP8)) == 2 * plain + quantised
        nvfp4 = replace(llama_8b, weight_format=WeightFormat.NVFP4)
        assert _get_weight_bytes(nvfp4) == 2 * plain + 0.5625 * quantised

    def test_counts_the_scales_of_int4_groups(self, llama_8b: ModelSpec) -> None:
        plain = 2 * 128_256 * 4096 + 65 * 4096
        int4 = replace(llama_8b, weight_format=WeightFormat.INT4, quantization_group_size=32)
        assert _get_weight_bytes(int4) == 2 * plain + 0.5625 * (8_030_261_248 - plain)

    def test_quantises_routed_experts_alone_where_the_model_says_so(self, gpt_oss: ModelSpec) -> None:
        mxfp4 = replace(gpt_oss, weight_format=WeightFormat.MXFP4, has_quantized_experts_only=True)
        experts = 36 * 128 * 3 * 2880 * 2880
        rest = count_parameters(gpt_oss).total - experts
        assert _get_weight_bytes(mxfp4) == 2 * rest + 0.53125 * experts

    def test_sums_to_the_whole_over_stages(self, kimi: ModelSpec) -> None:
        parts = split_model(kimi, (20, 20, 21))
        assert sum(estimate_weight_bytes(kimi, part) for part in parts) == _get_weight_bytes(kimi)

    def test_holds_tied_embeddings_on_first_and_last_stage(self, llama_8b: ModelSpec) -> None:
        tied = replace(llama_8b, has_tied_embeddings=True)
        first, last = (estimate_weight_bytes(tied, part) for part in split_model(tied, (16, 16)))
        assert first + last == _get_weight_bytes(tied) + 2 * 128_256 * 4096


class TestSplitModel:
    def test_puts_dense_layers_first(self, kimi: ModelSpec) -> None:
        assert [part.num_dense_layers for part in split_model(kimi, (30, 31))] == [1, 0]
        assert [part.num_moe_layers for part in split_model(kimi, (30, 31))] == [29, 31]

    def test_spreads_sliding_layers(self, gpt_oss: ModelSpec) -> None:
        assert [part.num_sliding_layers for part in split_model(gpt_oss, (12, 12, 12))] == [6, 6, 6]
        assert [part.num_full_layers for part in split_model(gpt_oss, (11, 25))] == [6, 12]
