"""Step time: each term by itself, and its limits."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from engine.costmodel.coefficients import Coefficients, get_prior
from engine.costmodel.shape import ReplicaShape, split_model
from engine.costmodel.step import StageTerms, StepLoad, define_stage_terms, estimate_stage_s
from engine.domain.gpu_catalog import get_gpu_spec
from engine.domain.model_spec import ModelSpec, MoeSpec, WeightFormat

DefineReplica = Callable[..., ReplicaShape]

# Every ratio 1, no overhead: the data sheet's roofline.
ROOFLINE = Coefficients(**{field.name: float("_ratio" in field.name) for field in fields(Coefficients)})
H200 = get_gpu_spec("H200")
BANDWIDTH = 4.8e12
FLOPS = 989.5e12
LINEAR_8B = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
HEAD_8B = 128_256 * 4096


def _define_terms(shape: ReplicaShape, coefficients: Coefficients = ROOFLINE) -> StageTerms:
    parts = split_model(shape.model, tuple(stage.num_layers for stage in shape.stages))
    return define_stage_terms(shape.model, shape.stages[0], parts[0], coefficients, max_num_seqs=shape.max_num_seqs)


def _define_decode(batch: int, context_tokens: float = 0.0) -> StepLoad:
    return StepLoad(tokens=batch, requests=batch, decodes=batch, context_tokens=batch * context_tokens)


class TestEstimateStage:
    def test_reads_all_weights_for_one_token(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        terms = _define_terms(define_replica(llama_8b))
        expected = 2 * (LINEAR_8B + HEAD_8B) / BANDWIDTH
        assert estimate_stage_s(terms, _define_decode(1)) == pytest.approx(expected, rel=1e-12)

    def test_is_bound_by_flops_in_a_long_prefill(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        terms = _define_terms(define_replica(llama_8b))
        load = StepLoad(tokens=4096, requests=1, pairs=4096 * 2048)
        attention = 4 * 32 * 32 * 128 * 4096 * 2048 / FLOPS
        expected = 2 * LINEAR_8B * 4096 / FLOPS + 2 * HEAD_8B / BANDWIDTH + attention
        assert estimate_stage_s(terms, load) == pytest.approx(expected, rel=1e-12)

    def test_reads_the_cache_of_every_decode(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        terms = _define_terms(define_replica(llama_8b))
        longer = estimate_stage_s(terms, _define_decode(8, 1000)) - estimate_stage_s(terms, _define_decode(8))
        assert longer == pytest.approx(8 * 1000 * 131_072 / BANDWIDTH, rel=1e-9)

    def test_adds_overheads(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        shape = define_replica(llama_8b)
        slow = replace(ROOFLINE, layer_s=1.0, request_s=100.0, decode_layer_s=0.01, prefill_layer_s=5.0)
        load = StepLoad(tokens=20, requests=4, decodes=3, pairs=50.0)
        added = estimate_stage_s(_define_terms(shape, slow), load) - estimate_stage_s(_define_terms(shape), load)
        assert added == pytest.approx(32 * 1.0 + 4 * 100.0 + 3 * 32 * 0.01 + 32 * 5.0)

    def test_adds_the_prefill_overhead_only_where_there_is_one(
        self, llama_8b: ModelSpec, define_replica: DefineReplica
    ) -> None:
        terms = _define_terms(define_replica(llama_8b), replace(ROOFLINE, prefill_layer_s=1.0))
        assert estimate_stage_s(terms, _define_decode(4)) < 1.0

    def test_adds_two_all_reduces_a_layer(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        slow = replace(ROOFLINE, all_reduce_s=1e-3, tensor_parallel_s=0.5)
        shape = define_replica(llama_8b, tensor_parallel=2)
        without = 2 * (LINEAR_8B + HEAD_8B) / (2 * BANDWIDTH)
        message = 2 * 1 / 2 * 4096 * 2 / 450e9
        expected = without + 64 * (1e-3 + message) + 0.5
        assert estimate_stage_s(_define_terms(shape, slow), _define_decode(1)) == pytest.approx(expected, rel=1e-9)

    def test_reduces_nothing_on_one_accelerator(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        slow = replace(ROOFLINE, all_reduce_s=1.0, tensor_parallel_s=1.0)
        shape = define_replica(llama_8b)
        assert _define_terms(shape, slow) == _define_terms(shape)

    @pytest.mark.parametrize(
        ("max_num_seqs", "tokens", "is_captured"), [(512, 512, True), (512, 513, False), (8, 17, False)]
    )
    def test_waits_for_the_host_beyond_the_captured_graphs(
        self, max_num_seqs: int, tokens: int, is_captured: bool, llama_8b: ModelSpec, define_replica: DefineReplica
    ) -> None:
        shape = define_replica(llama_8b, max_num_seqs=max_num_seqs)
        terms = _define_terms(shape, replace(ROOFLINE, host_layer_s=1.0))
        step_s = estimate_stage_s(terms, StepLoad(tokens=tokens, requests=1, pairs=1.0))
        assert (step_s < 1.0) is is_captured
        assert is_captured or step_s == 32.0

    def test_has_no_head_before_the_last_stage(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        terms = _define_terms(define_replica(llama_8b, layers=(16, 16)))
        assert estimate_stage_s(terms, _define_decode(1)) == pytest.approx(LINEAR_8B / BANDWIDTH, rel=1e-12)

    def test_looks_back_over_the_window_in_sliding_layers(
        self, gpt_oss: ModelSpec, define_replica: DefineReplica
    ) -> None:
        terms = _define_terms(define_replica(gpt_oss))
        load = StepLoad(tokens=1, requests=1, decodes=1, context_tokens=1000.0, window_tokens=128.0)
        reads = estimate_stage_s(terms, load) - estimate_stage_s(terms, _define_decode(1))
        assert reads == pytest.approx((36_864 * 1000 + 36_864 * 128) / BANDWIDTH, rel=1e-9)


class TestExperts:
    def test_reads_only_the_experts_touched(self, qwen3_235b: ModelSpec, define_replica: DefineReplica) -> None:
        terms = _define_terms(define_replica(qwen3_235b, tensor_parallel=8)).experts
        assert terms is not None
        expert_s = 94 * 3 * 4096 * 1536 * 2 / (8 * BANDWIDTH)
        assert terms.estimate_s(1) == pytest.approx(8 * expert_s, rel=1e-9)
        assert terms.estimate_s(4) == pytest.approx(128 * (1 - (1 - 8 / 128) ** 4) * expert_s, rel=1e-9)

    def test_reads_shared_experts_always(self, kimi: ModelSpec, define_replica: DefineReplica) -> None:
        terms = _define_terms(define_replica(kimi, tensor_parallel=8)).experts
        assert terms is not None
        assert terms.estimate_s(1) == pytest.approx(9 * 60 * 3 * 7168 * 2048 * 2 / (8 * BANDWIDTH), rel=1e-9)

    def test_computes_those_a_token_visits(self, kimi: ModelSpec, define_replica: DefineReplica) -> None:
        terms = _define_terms(define_replica(kimi, tensor_parallel=8)).experts
        assert terms is not None
        flop = 2 * 9 * 60 * 3 * 7168 * 2048 * 100_000
        assert terms.estimate_s(100_000) == pytest.approx(flop / (8 * FLOPS), rel=1e-9)

    def test_equals_a_dense_model_when_every_expert_is_visited(
        self, llama_8b: ModelSpec, define_replica: DefineReplica
    ) -> None:
        moe = MoeSpec(num_experts=4, experts_per_token=4, expert_intermediate_size=14336 // 4)
        routed = _define_terms(define_replica(replace(llama_8b, moe=moe)))
        dense = _define_terms(define_replica(llama_8b))
        router_s = 32 * 4 * 4096 * 2 / BANDWIDTH
        assert estimate_stage_s(routed, _define_decode(1)) == pytest.approx(
            estimate_stage_s(dense, _define_decode(1)) + router_s, rel=1e-12
        )


class TestWeightFormats:
    @pytest.mark.parametrize(
        ("gpu_name", "weight_format", "speed"),
        [
            ("H100", WeightFormat.FP8, 2.0),
            ("A100-80", WeightFormat.FP8, 1.0),
            ("B200", WeightFormat.NVFP4, 4.0),
            ("H100", WeightFormat.NVFP4, 1.0),
            ("B200", WeightFormat.INT4, 1.0),
        ],
    )
    def test_compute_as_fast_as_the_accelerator_can(
        self, gpu_name: str, weight_format: WeightFormat, speed: float, llama_8b: ModelSpec,
        define_replica: DefineReplica,
    ) -> None:  # fmt: skip
        plain = _define_terms(define_replica(llama_8b, gpu_name))
        quantised = _define_terms(define_replica(replace(llama_8b, weight_format=weight_format), gpu_name))
        assert plain.linear_token_s / quantised.linear_token_s == pytest.approx(speed)

    def test_read_fewer_bytes(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        plain = _define_terms(define_replica(llama_8b))
        fp8 = _define_terms(define_replica(replace(llama_8b, weight_format=WeightFormat.FP8)))
        assert fp8.linear_read_s == plain.linear_read_s / 2
        assert fp8.head_read_s == plain.head_read_s


class TestGetPrior:
    def test_reads_the_cache_slower_before_hopper(self) -> None:
        assert get_prior(get_gpu_spec("A100-80")).kv_read_ratio == 0.65
        assert get_prior(get_gpu_spec("B200")).kv_read_ratio == 0.75

    def test_starts_all_reduces_slower_over_pcie(self) -> None:
        assert get_prior(get_gpu_spec("L40S")).all_reduce_s == 20e-6
        assert get_prior(get_gpu_spec("L40S")).link_ratio == 0.7
        assert get_prior(get_gpu_spec("A100-80")).all_reduce_s == 8e-6
