"""The strict bodies between console and agent."""

import pytest
from pydantic import ValidationError

from engine.serving.protocol import DesiredShards, ShardReport, ShardSpec, ShardState

SPEC = {
    "shard_id": "chat-r1",
    "model_path": "/models/demo",
    "served_model_name": "demo",
    "max_model_len": 2048,
    "max_num_seqs": 16,
    "max_num_batched_tokens": 2048,
    "kv_cache_memory_bytes": 67108864,
}


class TestShardSpec:
    def test_survives_json_unchanged(self) -> None:
        spec = ShardSpec.model_validate(SPEC | {"extra_args": {"seed": "1"}})
        assert ShardSpec.model_validate_json(spec.model_dump_json()) == spec
        assert ShardSpec.model_validate(spec.model_dump(mode="json")) == spec

    def test_defaults_to_one_accelerator(self) -> None:
        spec = ShardSpec.model_validate(SPEC)
        assert (spec.tensor_parallel, spec.pipeline_parallel, spec.layer_partition) == (1, 1, [])

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("shard_id", "../escape"),
            ("shard_id", "a\n"),
            ("shard_id", ""),
            ("model_path", "--trust-remote-code"),
            ("max_model_len", 0),
            ("max_model_len", "2048"),
            ("kv_cache_memory_bytes", 0),
            ("extra_args", {"--seed": "1"}),
            ("extra_args", {"seed": 1}),
            ("colour", "red"),
            ("layer_partition", [4, 4]),
        ],
    )
    def test_refuses_a_wrong_value(self, field: str, value: object) -> None:
        with pytest.raises(ValidationError):
            ShardSpec.model_validate(SPEC | {field: value})

    def test_takes_one_layer_count_per_stage(self) -> None:
        spec = ShardSpec.model_validate(SPEC | {"pipeline_parallel": 2, "layer_partition": [3, 5]})
        assert spec.layer_partition == [3, 5]


class TestDesiredShards:
    def test_refuses_an_id_twice(self) -> None:
        with pytest.raises(ValidationError, match="unique"):
            DesiredShards.model_validate({"shards": [ShardSpec.model_validate(SPEC)] * 2})


class TestShardReport:
    def test_writes_its_state_as_a_word(self) -> None:
        report = ShardReport(shard_id="a", state=ShardState.READY)
        assert report.model_dump(mode="json")["state"] == "ready"
        assert ShardReport.model_validate_json(report.model_dump_json()) == report
