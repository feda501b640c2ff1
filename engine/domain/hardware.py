"""What one accelerator can do, as its data sheet says."""

from dataclasses import dataclass
from enum import StrEnum


class DeviceKind(StrEnum):
    """What executes the model: a GPU, or a slot of this host's CPU."""

    GPU = "gpu"
    CPU = "cpu"


class LinkKind(StrEnum):
    """How the accelerators of one machine reach each other."""

    NVLINK = "nvlink"
    INFINITY_FABRIC = "infinity_fabric"
    PCIE = "pcie"
    SHARED_MEMORY = "shared_memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpec:
    """Data sheet of one accelerator type.

    Attributes:
        name: Medley's canonical name, e.g. `H100`, `A100-80`, `RTX4090`, `cpu-slot`.
        memory_bytes: device memory as the vendor states it, error correction taken off [bytes].
        memory_bandwidth_bytes_per_s: peak device memory bandwidth [bytes/s].
        peak_flop_per_s: dense FP16/BF16 tensor throughput without sparsity [flop/s].
        link_bytes_per_s: one-direction bandwidth between accelerators of one machine [bytes/s].
        generation: the vendor's word for the family, e.g. `hopper`.
        source: vendor page the figures come from.
        source_date: day they were read (ISO date).
    """

    name: str
    vendor: str
    kind: DeviceKind
    generation: str
    memory_bytes: int
    memory_bandwidth_bytes_per_s: float
    peak_flop_per_s: float
    link_kind: LinkKind
    link_bytes_per_s: float
    has_fp8: bool
    source: str
    source_date: str
