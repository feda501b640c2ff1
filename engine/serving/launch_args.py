"""From a shard's specification to vLLM's argument list and environment. Pure.

Why these values, with measurements: one thread per shard, a KV cache in bytes, no compilation, loopback only and a
folder of its own for sockets (CPU build of vLLM 0.32.0, 2026-11-22).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import InvalidInputError
from engine.serving.protocol import ShardSpec

LOOPBACK: Final = "127.0.0.1"

PRELOAD_ENVIRONMENT: Final[Mapping[str, str]] = {
    "OMP_NUM_THREADS": "1",  # vLLM's default binds every shard to core 0
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # lets the single-process executor stand on a CPU
    "TORCH_COMPILE_DISABLE": "1",  # else the first request for logprobs compiles for seconds
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}

# Arguments that decide where a shard listens, who may reach it or what code it runs: the agent's alone.
_RESERVED: Final = frozenset(
    {
        "api-key",
        "config",
        "distributed-executor-backend",
        "enforce-eager",
        "host",
        "kv-cache-memory-bytes",
        "max-model-len",
        "max-num-batched-tokens",
        "max-num-seqs",
        "middleware",
        "model",
        "pipeline-parallel-size",
        "port",
        "root-path",
        "served-model-name",
        "tensor-parallel-size",
        "tool-parser-plugin",
        "trust-remote-code",
        "uds",
    }
)
_RESERVED_PREFIXES: Final = ("ssl-", "disable-log-stats")


class ReservedArgumentError(InvalidInputError):
    """`extra_args` names an argument that is not the plan's to set."""

    code = "reserved_argument"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLaunch:
    """How to start one shard.

    Attributes:
        args: vLLM's arguments, without the program.
        environment: variables of this shard, on top of the preloaded process's own.
    """

    args: tuple[str, ...]
    environment: Mapping[str, str]


def check_extra_args(spec: ShardSpec) -> None:
    """Raise `ReservedArgumentError` when the specification sets what only the agent may set."""
    for name in spec.extra_args:
        if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
            raise ReservedArgumentError(
                f"{spec.shard_id}: extra argument {name!r} is set by the agent",
                field=f"extra_args.{name}",
                remedy="leave it out",
            )


def build_shard_launch(spec: ShardSpec, *, port: int, rpc_dir: Path) -> ShardLaunch:
    """Return the arguments and environment of one shard.

    Args:
        port: TCP port on the loopback address.
        rpc_dir: private, short folder for this shard's sockets and temporary files.
    Raises:
        ReservedArgumentError: see `check_extra_args`.
    """
    check_extra_args(spec)
    is_parallel = spec.tensor_parallel * spec.pipeline_parallel > 1
    args = {
        "model": spec.model_path,
        "served-model-name": spec.served_model_name,
        "host": LOOPBACK,
        "port": str(port),
        "max-model-len": str(spec.max_model_len),
        "max-num-seqs": str(spec.max_num_seqs),
        "max-num-batched-tokens": str(spec.max_num_batched_tokens),
        "kv-cache-memory-bytes": str(spec.kv_cache_memory_bytes),
        "distributed-executor-backend": "mp" if is_parallel else "uni",
        "enforce-eager": "",
        "disable-uvicorn-access-log": "",  # one line per request would fill the disk
        "enable-prompt-tokens-details": "",
    }
    if is_parallel:
        args["tensor-parallel-size"] = str(spec.tensor_parallel)
        args["pipeline-parallel-size"] = str(spec.pipeline_parallel)
    return ShardLaunch(args=_to_argv(args | spec.extra_args), environment=_build_environment(spec, rpc_dir))


def _to_argv(args: Mapping[str, str]) -> tuple[str, ...]:
    """Return `--name=value` words; the equals sign keeps a value that begins with a dash a value."""
    return tuple(f"--{name}={value}" if value else f"--{name}" for name, value in args.items())


def _build_environment(spec: ShardSpec, rpc_dir: Path) -> dict[str, str]:
    environment = {"VLLM_RPC_BASE_PATH": str(rpc_dir), "TMPDIR": str(rpc_dir)}
    if spec.layer_partition:
        environment["VLLM_PP_LAYER_PARTITION"] = ",".join(str(layers) for layers in spec.layer_partition)
    return environment
