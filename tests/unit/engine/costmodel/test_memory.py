"""KV capacity: the measured rows, and how it moves."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.costmodel.memory import CPU_KV_CACHE_BYTES, compute_kv_tokens
from engine.costmodel.shape import ReplicaShape
from engine.domain.model_spec import ModelSpec, WeightFormat
from engine.units import GIB

H200_BYTES = 139.8 * GIB  # what its driver shows

DefineReplica = Callable[..., ReplicaShape]


def _compute(shape: ReplicaShape, memory_bytes: float = H200_BYTES) -> int:
    return compute_kv_tokens(shape, memory_bytes=(memory_bytes,) * len(shape.stages))


class TestComputeKvTokens:
    def test_gives_the_measured_rows(
        self, llama_8b: ModelSpec, llama_70b: ModelSpec, define_replica: DefineReplica
    ) -> None:
        assert _compute(define_replica(llama_8b)) == 899_072  # measured 899,104
        assert _compute(define_replica(llama_70b, tensor_parallel=2)) == 385_840  # measured 385,840

    def test_is_zero_when_the_weights_do_not_fit(self, llama_70b: ModelSpec, define_replica: DefineReplica) -> None:
        assert _compute(define_replica(llama_70b)) == 0
        assert _compute(define_replica(llama_70b, "L4"), 22 * GIB) == 0

    def test_comes_in_whole_blocks(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        assert _compute(define_replica(llama_8b, "L4"), 22.05 * GIB) % 16 == 0

    def test_takes_the_smallest_stage(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        even = _compute(define_replica(llama_8b, layers=(16, 16)))
        uneven = _compute(define_replica(llama_8b, layers=(8, 24)))
        assert uneven < even

    def test_is_limited_by_the_stage_with_less_memory(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        shape = define_replica(llama_8b, layers=(16, 16))
        assert compute_kv_tokens(shape, memory_bytes=(H200_BYTES, 20 * GIB)) == _compute(shape, 20 * GIB)

    def test_falls_with_weights_and_batched_tokens(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        base = _compute(define_replica(llama_8b))
        assert _compute(define_replica(llama_8b, max_num_batched_tokens=16_384)) < base
        assert _compute(define_replica(replace(llama_8b, weight_format=WeightFormat.FP8))) > base

    def test_rises_with_utilization_and_tensor_parallelism(
        self, llama_8b: ModelSpec, define_replica: DefineReplica
    ) -> None:
        base = _compute(define_replica(llama_8b))
        assert _compute(define_replica(llama_8b, gpu_memory_utilization=0.92)) > base
        assert _compute(define_replica(llama_8b, tensor_parallel=2)) > 2 * base

    def test_counts_the_experts_a_token_visits_as_activations(
        self, gpt_oss: ModelSpec, define_replica: DefineReplica
    ) -> None:
        assert gpt_oss.moe is not None
        wide = replace(gpt_oss, moe=replace(gpt_oss.moe, experts_per_token=8))
        assert _compute(define_replica(wide, tensor_parallel=2)) < _compute(define_replica(gpt_oss, tensor_parallel=2))

    def test_gives_a_cpu_slot_its_fixed_cache(self, demo: ModelSpec, define_replica: DefineReplica) -> None:
        bytes_per_token = 2 * 4 * 64 * 2 * 8
        assert _compute(define_replica(demo, "cpu-slot"), 2 * GIB) == CPU_KV_CACHE_BYTES // bytes_per_token == 32_768

    @pytest.mark.parametrize(("memory_gib", "expected"), [(0.8, 32_768), (0.7, 0)])
    def test_gives_a_cpu_slot_nothing_unless_all_fits(
        self, memory_gib: float, expected: int, demo: ModelSpec, define_replica: DefineReplica
    ) -> None:
        assert _compute(define_replica(demo, "cpu-slot"), memory_gib * GIB) == expected
