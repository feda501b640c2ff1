"""Configurations: the recipe of one replica, and of one rentable copy of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """Which part of a request a replica serves."""

    MIXED = "mixed"
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A tensor-parallel group of accelerators holding some layers.

    Attributes:
        offer_id: machine type the group lives on.
        machine_index: which machine of the copy, from 0.
        gpu_name: accelerator type, one per stage.
        tensor_parallel: accelerators in the group.
        num_layers: transformer layers held.
    """

    offer_id: str
    machine_index: int
    gpu_name: str
    tensor_parallel: int
    num_layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPerformance:
    """What one copy does for one request class served alone, at its SLO-respecting operating point.

    Attributes:
        requests_per_s: throughput of the whole copy [requests/s]; 0 = cannot or may not.
        batch: requests in service per replica.
        ttft_s, tpot_s: mean latencies there [s].
    """

    requests_per_s: float
    batch: int
    ttft_s: float
    tpot_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Recipe of one rentable copy: the machines to rent and the identical replicas on them.

    Attributes:
        id: unique in an instance, e.g. `llama-3.1-70b/aws:us-east-1:p5.48xlarge:on_demand/tp8`.
        machines: offer id -> machines one copy rents.
        usd_per_hour: price of one copy [USD/h].
        replicas_per_copy: identical replicas on these machines.
        stages: pipeline stages of one replica, in order; its length is the pipeline-parallel degree.
        kv_tokens: KV cache capacity of one replica [tokens].
        performance: class id -> what one copy does for it alone.
        estimate_source: profile id or `prior`.
        error_band: relative half-width of the estimate (90 %).
    """

    id: str
    model_id: str
    phase: Phase = Phase.MIXED
    machines: Mapping[str, int]
    usd_per_hour: float
    replicas_per_copy: int
    stages: tuple[Stage, ...]
    kv_tokens: int
    max_num_seqs: int
    max_num_batched_tokens: int
    performance: Mapping[str, ClassPerformance]
    estimate_source: str
    error_band: float
    engine_args: Mapping[str, str] = field(default_factory=dict)

    @property
    def tensor_parallel(self) -> int:
        """Tensor-parallel degree of the replica."""
        return self.stages[0].tensor_parallel

    @property
    def pipeline_parallel(self) -> int:
        """Number of pipeline stages."""
        return len(self.stages)

    @property
    def num_gpus(self) -> int:
        """Accelerators that serve in one copy."""
        return self.replicas_per_copy * sum(stage.tensor_parallel for stage in self.stages)
