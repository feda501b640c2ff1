"""Shapes of replicas and copies."""

from datetime import UTC, datetime

import pytest

from engine.domain.gpu_catalog import CPU_SLOT, get_gpu_spec
from engine.domain.model_spec import ModelSpec
from engine.domain.offer import Market, Offer
from engine.planners.rental.options import RentalOptions
from engine.planners.rental.shapes import (
    CopyShape,
    ReplicaSplit,
    define_stages,
    find_copy_shape,
    list_splits,
    split_layers,
)


def define_model(*, heads: int = 64, kv_heads: int = 8, layers: int = 80) -> ModelSpec:
    return ModelSpec(
        id="m",
        name="m",
        num_layers=layers,
        hidden_size=8192,
        num_attention_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=128,
        intermediate_size=28672,
        vocab_size=128256,
        max_context_tokens=131072,
    )


def define_offer(gpu_count: int) -> Offer:
    return Offer(
        id="p:r:box:on_demand",
        provider="p",
        region="r",
        instance_type="box",
        gpu_name="H100",
        gpu_count=gpu_count,
        usd_per_hour=2.0 * gpu_count,
        market=Market.ON_DEMAND,
        available_count=4,
        source="test",
        observed_at=datetime(2026, 11, 24, tzinfo=UTC),
    )


def list_labels(model: ModelSpec, options: RentalOptions | None = None) -> list[str]:
    return [split.label for split in list_splits(model, get_gpu_spec("H100"), options or RentalOptions())]


class TestListSplits:
    def test_keeps_eight_accelerators_a_replica(self) -> None:
        assert sorted(list_labels(define_model())) == sorted(
            [
                *("tp1", "tp1-pp2", "tp1-pp3", "tp1-pp4", "tp1-pp5", "tp1-pp6", "tp1-pp7", "tp1-pp8"),
                *("tp2", "tp2-pp2", "tp2-pp3", "tp2-pp4", "tp4", "tp4-pp2", "tp8"),
            ]
        )

    def test_puts_deep_pipelines_behind_all_others(self) -> None:
        assert list_labels(define_model())[-4:] == ["tp1-pp5", "tp1-pp6", "tp1-pp7", "tp1-pp8"]

    def test_divides_the_attention_heads(self) -> None:
        assert [label for label in list_labels(define_model(heads=28, kv_heads=4)) if "pp" not in label] == [
            "tp1",
            "tp2",
            "tp4",
        ]

    def test_divides_or_repeats_the_kv_heads(self) -> None:
        whole = [label for label in list_labels(define_model(heads=64, kv_heads=2)) if "pp" not in label]
        assert whole == ["tp1", "tp2", "tp4", "tp8"]
        odd = [label for label in list_labels(define_model(heads=24, kv_heads=3)) if "pp" not in label]
        assert odd == ["tp1"]

    def test_has_no_more_stages_than_layers(self) -> None:
        assert max(split.pipeline_parallel for split in self._list(layers=2)) == 2

    def test_obeys_the_option(self) -> None:
        assert list_labels(define_model(), RentalOptions(max_gpus_per_replica=2)) == ["tp1", "tp2", "tp1-pp2"]

    def test_has_one_shape_on_a_cpu_slot(self) -> None:
        splits = list_splits(define_model(), get_gpu_spec(CPU_SLOT), RentalOptions())
        assert [split.label for split in splits] == ["tp1"]

    def _list(self, *, layers: int) -> tuple[ReplicaSplit, ...]:
        return list_splits(define_model(layers=layers), get_gpu_spec("H100"), RentalOptions())


class TestFindCopyShape:
    def test_fills_the_machine_with_replicas(self) -> None:
        shape = find_copy_shape(define_offer(8), ReplicaSplit(tensor_parallel=2, pipeline_parallel=1))
        assert shape == CopyShape(machines=1, replicas=4, stages_per_machine=4)

    def test_leaves_what_no_replica_can_use(self) -> None:
        shape = find_copy_shape(define_offer(8), ReplicaSplit(tensor_parallel=2, pipeline_parallel=3))
        assert shape == CopyShape(machines=1, replicas=1, stages_per_machine=4)

    def test_joins_machines_by_a_pipeline(self) -> None:
        shape = find_copy_shape(define_offer(2), ReplicaSplit(tensor_parallel=2, pipeline_parallel=3))
        assert shape == CopyShape(machines=3, replicas=1, stages_per_machine=1)

    def test_keeps_a_tensor_parallel_group_in_one_machine(self) -> None:
        assert find_copy_shape(define_offer(2), ReplicaSplit(tensor_parallel=4, pipeline_parallel=1)) is None


class TestSplitLayers:
    @pytest.mark.parametrize(
        ("num_layers", "num_stages", "layers"),
        [
            (80, 1, (80,)),
            (80, 4, (20, 20, 20, 20)),
            (80, 3, (27, 27, 26)),
            (32, 5, (6, 6, 7, 7, 6)),
            (80, 6, (13, 13, 13, 14, 14, 13)),
            (33, 2, (17, 16)),
        ],
    )
    def test_is_the_partition_of_vllm(self, num_layers: int, num_stages: int, layers: tuple[int, ...]) -> None:
        assert split_layers(num_layers, num_stages) == layers


class TestDefineStages:
    def test_places_stages_in_order(self) -> None:
        split = ReplicaSplit(tensor_parallel=2, pipeline_parallel=3)
        shape = CopyShape(machines=2, replicas=1, stages_per_machine=2)
        stages = define_stages(define_offer(4), split, shape, 80)
        assert [(stage.machine_index, stage.num_layers, stage.tensor_parallel) for stage in stages] == [
            (0, 27, 2),
            (0, 27, 2),
            (1, 26, 2),
        ]
