"""From a specification to vLLM's command line."""

from pathlib import Path

import pytest

from engine.serving.launch_args import PRELOAD_ENVIRONMENT, ReservedArgumentError, build_shard_launch
from engine.serving.protocol import ShardSpec


def _spec(**changes: object) -> ShardSpec:
    data = {
        "shard_id": "chat-r1",
        "model_path": "/models/demo",
        "served_model_name": "demo",
        "max_model_len": 2048,
        "max_num_seqs": 16,
        "max_num_batched_tokens": 1024,
        "kv_cache_memory_bytes": 67108864,
    }
    return ShardSpec.model_validate(data | changes)


class TestBuildShardLaunch:
    def test_gives_every_argument_of_a_single_process(self) -> None:
        launch = build_shard_launch(_spec(), port=9001, rpc_dir=Path("/tmp/r"))
        assert launch.args == (
            "--model=/models/demo",
            "--served-model-name=demo",
            "--host=127.0.0.1",
            "--port=9001",
            "--max-model-len=2048",
            "--max-num-seqs=16",
            "--max-num-batched-tokens=1024",
            "--kv-cache-memory-bytes=67108864",
            "--distributed-executor-backend=uni",
            "--enforce-eager",
            "--disable-uvicorn-access-log",
            "--enable-prompt-tokens-details",
        )
        assert launch.environment == {"VLLM_RPC_BASE_PATH": "/tmp/r", "TMPDIR": "/tmp/r"}

    def test_splits_layers_over_stages(self) -> None:
        spec = _spec(pipeline_parallel=2, tensor_parallel=2, layer_partition=[3, 5])
        launch = build_shard_launch(spec, port=9001, rpc_dir=Path("/tmp/r"))
        assert "--distributed-executor-backend=mp" in launch.args
        assert launch.args[-2:] == ("--tensor-parallel-size=2", "--pipeline-parallel-size=2")
        assert launch.environment["VLLM_PP_LAYER_PARTITION"] == "3,5"

    def test_appends_extra_arguments_as_single_words(self) -> None:
        spec = _spec(extra_args={"scheduling-policy": "priority", "enable-server-load-tracking": "", "seed": "-1"})
        launch = build_shard_launch(spec, port=9001, rpc_dir=Path("/tmp/r"))
        assert launch.args[-3:] == ("--scheduling-policy=priority", "--enable-server-load-tracking", "--seed=-1")

    @pytest.mark.parametrize("name", ["host", "port", "trust-remote-code", "ssl-keyfile", "api-key", "middleware"])
    def test_refuses_what_only_the_agent_may_set(self, name: str) -> None:
        with pytest.raises(ReservedArgumentError) as caught:
            build_shard_launch(_spec(extra_args={name: "x"}), port=9001, rpc_dir=Path("/tmp/r"))
        assert caught.value.field == f"extra_args.{name}"


class TestPreloadEnvironment:
    def test_pins_threads_and_stays_offline(self) -> None:
        assert PRELOAD_ENVIRONMENT["OMP_NUM_THREADS"] == "1"
        assert PRELOAD_ENVIRONMENT["HF_HUB_OFFLINE"] == "1"
        assert PRELOAD_ENVIRONMENT["VLLM_NO_USAGE_STATS"] == "1"
        assert PRELOAD_ENVIRONMENT["TORCH_COMPILE_DISABLE"] == "1"
