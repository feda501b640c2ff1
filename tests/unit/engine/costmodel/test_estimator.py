"""The estimator of a replica: chunks, pipelines, provenance, and the measured rows."""

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.costmodel.estimator import InvalidShapeError, ReplicaEstimator, build_estimator
from engine.costmodel.profile import read_profiles
from engine.costmodel.shape import ReplicaShape
from engine.costmodel.step import StepLoad, estimate_stage_s
from engine.domain.model_spec import ModelSpec, WeightFormat

DefineReplica = Callable[..., ReplicaShape]


class TestEstimatePrefill:
    def test_is_one_step_within_the_budget(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_8b))
        load = StepLoad(tokens=8000, requests=1, pairs=8000 * 4000)
        assert estimator.estimate_prefill_s(8000) == estimate_stage_s(estimator.stages[0], load) + estimator.step_s

    def test_cuts_longer_prompts_into_chunks(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_8b))
        loads = (
            StepLoad(tokens=8192, requests=1, pairs=8192 * 4096),
            StepLoad(tokens=1808, requests=1, pairs=1808 * (8192 + 904)),
        )
        expected = sum(estimate_stage_s(estimator.stages[0], load) + estimator.step_s for load in loads)
        assert estimator.estimate_prefill_s(10_000) == pytest.approx(expected, rel=1e-12)

    def test_fills_a_step_with_several_prompts(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_8b))
        loads = (
            StepLoad(tokens=8192, requests=3, pairs=2 * 3000 * 1500 + 2192 * 1096),
            StepLoad(tokens=808, requests=1, pairs=808 * (2192 + 404)),
        )
        expected = sum(estimate_stage_s(estimator.stages[0], load) + estimator.step_s for load in loads)
        assert estimator.estimate_prefill_s(3000, 3) == pytest.approx(expected, rel=1e-12)

    def test_looks_back_over_the_window(self, gpt_oss: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(gpt_oss, tensor_parallel=2))
        load = StepLoad(tokens=1000, requests=1, pairs=1000 * 500, window_pairs=128 * 64 + 872 * 128)
        expected = estimate_stage_s(estimator.stages[0], load) + estimator.step_s
        assert estimator.estimate_prefill_s(1000) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize(("prompt_tokens", "num_prompts"), [(0, 1), (10, 0)])
    def test_refuses_nothing_to_do(
        self, prompt_tokens: int, num_prompts: int, llama_8b: ModelSpec, define_replica: DefineReplica
    ) -> None:
        with pytest.raises(InvalidShapeError):
            build_estimator(define_replica(llama_8b)).estimate_prefill_s(prompt_tokens, num_prompts)


class TestEstimateDecodeStep:
    def test_rises_with_batch_and_context(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_8b))
        by_batch = [estimator.estimate_decode_step_s(batch, 500) for batch in range(1, 512)]
        assert by_batch == sorted(by_batch)
        by_context = [estimator.estimate_decode_step_s(16, context) for context in range(1, 5000, 50)]
        assert by_context == sorted(by_context)

    def test_refuses_an_empty_batch(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        with pytest.raises(InvalidShapeError, match="batch"):
            build_estimator(define_replica(llama_8b)).estimate_decode_step_s(0, 100)

    def test_knows_the_window(self, gpt_oss: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(gpt_oss, tensor_parallel=2))
        load = StepLoad(tokens=4, requests=4, decodes=4, context_tokens=4000.0, window_tokens=512.0)
        expected = estimate_stage_s(estimator.stages[0], load) + estimator.step_s
        assert estimator.estimate_decode_step_s(4, 1000) == expected


def _estimate_stages(estimator: ReplicaEstimator, load: StepLoad) -> list[float]:
    first, *others = (estimate_stage_s(terms, load) for terms in estimator.stages)
    return [first + estimator.step_s, *others]


def _estimate_hop(estimator: ReplicaEstimator, tokens: int) -> float:
    return estimator.stages[0].hop_s + estimator.stages[0].hop_token_s * tokens


class TestPipeline:
    def test_passes_one_sequence_through_every_stage(self, llama_70b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_70b, layers=(40, 40)))
        load = StepLoad(tokens=1, requests=1, decodes=1, context_tokens=500.0)
        expected = sum(_estimate_stages(estimator, load)) + _estimate_hop(estimator, 1)
        assert estimator.estimate_decode_step_s(1, 500) == pytest.approx(expected, rel=1e-12)

    def test_is_limited_by_the_slowest_stage_when_full(
        self, llama_70b: ModelSpec, define_replica: DefineReplica
    ) -> None:
        estimator = build_estimator(define_replica(llama_70b, layers=(20, 60)))
        load = StepLoad(tokens=50, requests=50, decodes=50, context_tokens=25_000.0)
        stages_s = _estimate_stages(estimator, load)
        assert 2 * max(stages_s) > sum(stages_s) + _estimate_hop(estimator, 50)
        assert estimator.estimate_decode_step_s(100, 500) == pytest.approx(2 * max(stages_s), rel=1e-12)

    def test_splits_odd_batches(self, llama_70b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_70b, layers=(20, 60)))
        slowest_s = [
            max(_estimate_stages(estimator, StepLoad(tokens=b, requests=b, decodes=b, context_tokens=b * 500.0)))
            for b in (2, 3)
        ]
        assert estimator.estimate_decode_step_s(5, 500) == pytest.approx(sum(slowest_s), rel=1e-12)

    def test_lets_chunks_follow_each_other(self, llama_70b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_70b, layers=(40, 40)))
        loads = [StepLoad(tokens=8192, requests=1, pairs=8192 * (done + 4096)) for done in (0, 8192, 16_384)]
        times_s = [_estimate_stages(estimator, load) for load in loads]
        first_end = second_end = 0.0
        for first_s, second_s in times_s:
            first_end += first_s
            second_end = max(first_end + _estimate_hop(estimator, 8192), second_end) + second_s
        assert estimator.estimate_prefill_s(3 * 8192) == pytest.approx(second_end, rel=1e-12)
        assert second_end < sum(sum(pair) for pair in times_s)


class TestBuildEstimator:
    def test_refuses_stages_of_another_model(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        with pytest.raises(InvalidShapeError) as error:
            build_estimator(define_replica(llama_8b, layers=(16, 15)))
        assert error.value.field == "stages"
        assert error.value.remedy == "give every stage a layer or more, 32 in all"

    def test_refuses_an_empty_stage(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        with pytest.raises(InvalidShapeError):
            build_estimator(define_replica(llama_8b, layers=(32, 0)))

    def test_trusts_the_accelerators_own_rows(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_8b))
        assert (estimator.source, estimator.error_band) == ("h200-vllm0.26-bf16", 0.062)

    @pytest.mark.parametrize("change", ["weight_format", "moe"])
    def test_widens_the_band_for_models_unlike_the_measured(
        self, change: str, llama_8b: ModelSpec, minimax: ModelSpec, define_replica: DefineReplica
    ) -> None:
        model = minimax if change == "moe" else replace(llama_8b, weight_format=WeightFormat.FP8)
        estimator = build_estimator(define_replica(model, tensor_parallel=4))
        assert (estimator.source, estimator.error_band) == ("h200-vllm0.26-bf16", 0.25)

    def test_moves_the_generations_rows_by_data_sheet(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        h200 = build_estimator(define_replica(llama_8b))
        h100 = build_estimator(define_replica(llama_8b, "H100"))
        assert (h100.source, h100.error_band) == ("h200-vllm0.26-bf16", 0.25)
        assert h100.stages[0].linear_read_s / h200.stages[0].linear_read_s == pytest.approx(4.8 / 3.35)
        assert h100.stages[0].fixed_s == h200.stages[0].fixed_s

    @pytest.mark.parametrize("gpu_name", ["T4", "L4", "A10G", "L40S", "A40", "A100-80", "B200", "MI300X"])
    def test_falls_back_on_priors(self, gpu_name: str, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(llama_8b, gpu_name))
        assert (estimator.source, estimator.error_band) == ("prior", 0.25)

    def test_names_every_source_of_a_mixed_pipeline(self, llama_8b: ModelSpec, define_replica: DefineReplica) -> None:
        first, second = define_replica(llama_8b, layers=(16, 16)), define_replica(llama_8b, "A100-80", 1, (16, 16))
        estimator = build_estimator(replace(first, stages=(first.stages[0], second.stages[1])))
        assert (estimator.source, estimator.error_band) == ("h200-vllm0.26-bf16+prior", 0.25)

    def test_serves_the_demo_model_on_a_cpu_slot(self, demo: ModelSpec, define_replica: DefineReplica) -> None:
        estimator = build_estimator(define_replica(demo, "cpu-slot"))
        assert (estimator.source, estimator.error_band) == ("cpu-slot-vllm0.32-bf16", 0.3)
        assert estimator.kv_tokens == 32_768
        # Measured: TTFT 29 ms alone; TPOT 5.0 to 5.4 ms alone, 7.4 to 8.2 ms with eight at once.
        assert estimator.estimate_prefill_s(128) == pytest.approx(0.029, rel=0.05)
        assert estimator.estimate_decode_step_s(1, 160) == pytest.approx(0.0052, rel=0.05)
        assert estimator.estimate_decode_step_s(8, 160) == pytest.approx(0.0078, rel=0.1)

    def test_finds_the_70b_too_large_for_small_cards(self, llama_70b: ModelSpec, define_replica: DefineReplica) -> None:
        assert build_estimator(define_replica(llama_70b, "A100-80")).kv_tokens == 0
        assert build_estimator(define_replica(llama_70b, "A100-80", 4)).kv_tokens > 100_000


class TestReadProfiles:
    def test_says_where_every_profile_comes_from(self) -> None:
        assert sorted(read_profiles()) == ["H200", "cpu-slot"]
        for profile in read_profiles().values():
            assert profile.source
            assert profile.measured_at == "2026-11-22"
            assert profile.residuals


@pytest.mark.data
class TestMeasuredRows:
    @pytest.fixture
    def rows(self, data_dir: Path) -> list[dict[str, object]]:
        """Rows measured on H200."""
        lines = (data_dir / "h200" / "vllm_steps_train.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    @pytest.fixture
    def estimators(
        self, llama_8b: ModelSpec, llama_70b: ModelSpec, define_replica: DefineReplica
    ) -> dict[object, ReplicaEstimator]:
        """Replicas as they were measured."""
        return {
            "llama3-8b": build_estimator(define_replica(llama_8b)),
            "llama3-70b": build_estimator(define_replica(llama_70b, tensor_parallel=2)),
        }

    def test_agree_in_kv_capacity(self, rows: list[dict], estimators: dict[object, ReplicaEstimator]) -> None:
        measured = {row["model"]: row["kv_tokens"] for row in rows if row["kind"] == "init"}
        assert set(measured) == set(estimators)
        for model, estimator in estimators.items():
            assert estimator.kv_tokens == pytest.approx(measured[model], rel=1e-3)

    @pytest.mark.parametrize(
        ("model", "kind", "num_rows", "median", "largest"),
        [
            ("llama3-8b", "decode", 18, 0.017, 0.042),
            ("llama3-8b", "prefill", 12, 0.015, 0.081),
            ("llama3-70b", "decode", 18, 0.015, 0.043),
            ("llama3-70b", "prefill", 12, 0.003, 0.040),
        ],
    )
    def test_agree_in_step_time_as_the_profile_says(
        self, model: str, kind: str, num_rows: int, median: float, largest: float, rows: list[dict],
        estimators: dict[object, ReplicaEstimator],
    ) -> None:  # fmt: skip
        errors = [
            abs(_predict(estimators[model], row) / row["step_s"] - 1)
            for row in rows
            if row["model"] == model and row["kind"] == kind
        ]
        assert len(errors) == num_rows
        assert statistics.median(errors) == pytest.approx(median, abs=0.003)
        assert max(errors) == pytest.approx(largest, abs=0.003)


def _predict(estimator: ReplicaEstimator, row: dict) -> float:
    if row["kind"] == "decode":
        return estimator.estimate_decode_step_s(row["batch"], row["ctx"])
    return estimator.estimate_prefill_s(row["tokens"], row["n_req"])
