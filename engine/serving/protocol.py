"""What console and node agent say to each other: strict JSON over HTTPS, version 1.

`PUT /v1/shards` carries the complete list of shards that shall run; everything else is read.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_STRICT: Final = ConfigDict(extra="forbid", strict=True, frozen=True)

ShardId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
ArgumentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
ArgumentValue = Annotated[str, StringConstraints(max_length=4096)]


class ShardState(StrEnum):
    """Life of a shard as its agent sees it; `ready` means that it answers requests."""

    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class ShardSpec(BaseModel):
    """One vLLM server that shall run.

    Attributes:
        shard_id: stable identity; a changed spec under the same id replaces the running server.
        model_path: folder or repository that vLLM loads.
        kv_cache_memory_bytes: KV cache of the whole shard [bytes].
        layer_partition: transformer layers per pipeline stage; empty = vLLM's own split.
        extra_args: further vLLM arguments without dashes -> value; an empty value is a bare flag.
    """

    model_config = _STRICT

    shard_id: ShardId
    model_path: Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^-]")]
    served_model_name: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^-]")]
    max_model_len: Annotated[int, Field(ge=1)]
    max_num_seqs: Annotated[int, Field(ge=1)]
    max_num_batched_tokens: Annotated[int, Field(ge=1)]
    kv_cache_memory_bytes: Annotated[int, Field(ge=1)]
    tensor_parallel: Annotated[int, Field(ge=1)] = 1
    pipeline_parallel: Annotated[int, Field(ge=1)] = 1
    layer_partition: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    extra_args: dict[ArgumentName, ArgumentValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_partition(self) -> "ShardSpec":
        if self.layer_partition and len(self.layer_partition) != self.pipeline_parallel:
            raise ValueError("layer_partition must name one layer count per pipeline stage")
        return self


class DesiredShards(BaseModel):
    """Body of `PUT /v1/shards`: the complete list; a running shard that is not in it is stopped."""

    model_config = _STRICT

    shards: list[ShardSpec]

    @model_validator(mode="after")
    def _check_unique(self) -> "DesiredShards":
        ids = [spec.shard_id for spec in self.shards]
        if len(set(ids)) != len(ids):
            raise ValueError("shard_id must be unique in the list")
        return self


class ShardReport(BaseModel):
    """What the agent knows of one shard.

    Attributes:
        pid: process group leader, None while nothing runs.
        num_restarts: starts after the first one, kept across restarts of the agent.
        ready_at: instant at which the present process became ready, UTC.
    """

    model_config = _STRICT

    shard_id: ShardId
    state: ShardState
    reason: str = ""
    pid: int | None = None
    port: int | None = None
    url: str = ""
    num_restarts: int = 0
    ready_at: datetime | None = None


class VllmAvailability(BaseModel):
    """Whether this machine can start shards; `reason` says in words why not."""

    model_config = _STRICT

    is_available: bool
    reason: str = ""
    version: str = ""


class AgentStatus(BaseModel):
    """Answer of `GET /v1/status` and `PUT /v1/shards`."""

    model_config = _STRICT

    shards: list[ShardReport]
    vllm: VllmAvailability


class ShardMetrics(BaseModel):
    """Gauges and counters of one shard, read from vLLM; counters start at 0 with each process.

    Attributes:
        kv_cache_usage_ratio: used part of the KV cache, 0..1.
        observed_at: instant of the reading, UTC.
    """

    model_config = _STRICT

    shard_id: ShardId
    num_running: int
    num_waiting: int
    kv_cache_usage_ratio: float
    prompt_tokens_total: int
    generation_tokens_total: int
    num_preemptions_total: int
    observed_at: datetime


class AgentMetrics(BaseModel):
    """Answer of `GET /v1/metrics`: the shards that could be read just now."""

    model_config = _STRICT

    shards: list[ShardMetrics]


class ShardLog(BaseModel):
    """Answer of `GET /v1/shards/{id}/log`: the latest lines, oldest first."""

    model_config = _STRICT

    shard_id: ShardId
    lines: list[str]
