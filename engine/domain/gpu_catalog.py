"""Data sheets of the accelerators Medley can plan with.

Dense FP16/BF16 tensor throughput without sparsity; where a vendor prints the figure with sparsity, half of it.
Vendors print memory in GB and mean GiB; cards that keep error correction inside their GDDR6 lose a sixteenth of it.
Link bandwidth is one direction, summed over the links of one accelerator; cards without a bridge share PCIe x16.
"""

import re
from typing import Final

from engine.domain.hardware import DeviceKind, GpuSpec, LinkKind
from engine.errors import InvalidInputError
from engine.units import gib_to_bytes, tflops_to_flop_per_s

CPU_SLOT: Final = "cpu-slot"

_READ_ON: Final = "2026-11-24"
_PCIE3_GB_PER_S: Final = 16.0  # x16, one direction
_PCIE4_GB_PER_S: Final = 32.0  # x16, one direction
_GB: Final = 1e9


class UnknownGpuError(InvalidInputError):
    """The catalogue has no accelerator of this name."""

    code = "unknown_gpu"


def _define(
    name: str,
    generation: str,
    memory_gib: float,
    bandwidth_gb_per_s: float,
    peak_tflops: float,
    *,
    source: str,
    link_kind: LinkKind = LinkKind.PCIE,
    link_gb_per_s: float = _PCIE4_GB_PER_S,
    has_fp8: bool = False,
    vendor: str = "nvidia",
) -> GpuSpec:
    return GpuSpec(
        name=name,
        vendor=vendor,
        kind=DeviceKind.GPU,
        generation=generation,
        memory_bytes=gib_to_bytes(memory_gib),
        memory_bandwidth_bytes_per_s=bandwidth_gb_per_s * _GB,
        peak_flop_per_s=tflops_to_flop_per_s(peak_tflops),
        link_kind=link_kind,
        link_bytes_per_s=link_gb_per_s * _GB,
        has_fp8=has_fp8,
        source=source,
        source_date=_READ_ON,
    )


_NVLINK: Final = LinkKind.NVLINK
_FABRIC: Final = LinkKind.INFINITY_FABRIC

# name, generation, memory [GiB], memory bandwidth [GB/s], dense FP16 [TFLOP/s]
_SPECS: Final[tuple[GpuSpec, ...]] = (
    _define("T4", "turing", 15, 320, 65, link_gb_per_s=_PCIE3_GB_PER_S, source="NVIDIA T4 data sheet"),
    _define("L4", "ada", 22.5, 300, 121, has_fp8=True, source="NVIDIA L4 data sheet"),
    _define("A10", "ampere", 22.5, 600, 125, source="NVIDIA A10 data sheet"),
    _define("A10G", "ampere", 22.5, 600, 70, source="NVIDIA A10G data sheet (the EC2 variant of the A10)"),
    _define("L40", "ada", 45, 864, 181, has_fp8=True, source="NVIDIA L40 data sheet"),
    _define("L40S", "ada", 45, 864, 362, has_fp8=True, source="NVIDIA L40S data sheet"),
    _define("A40", "ampere", 45, 696, 149.7, source="NVIDIA A40 data sheet"),
    _define("A4000", "ampere", 16, 448, 76.7, source="NVIDIA RTX A4000 data sheet, half of the sparse figure"),
    _define("A5000", "ampere", 24, 768, 111.1, source="NVIDIA RTX A5000 data sheet, half of the sparse figure"),
    _define("A6000", "ampere", 48, 768, 154.8, source="NVIDIA RTX A6000 data sheet, half of the sparse figure"),
    _define("RTX4090", "ada", 24, 1008, 165.2, has_fp8=True, source="NVIDIA Ada whitepaper, FP16 with FP32 accumulate"),
    _define("A100-40", "ampere", 40, 1555, 312, link_kind=_NVLINK, link_gb_per_s=300, source="NVIDIA A100 data sheet"),
    _define("A100-80", "ampere", 80, 2039, 312, link_kind=_NVLINK, link_gb_per_s=300, source="NVIDIA A100 data sheet"),
    _define(
        "H100", "hopper", 80, 3350, 989.5, link_kind=_NVLINK, link_gb_per_s=450, has_fp8=True,
        source="NVIDIA H100 SXM data sheet, half of the sparse figure",
    ),
    _define(
        "GH200", "hopper", 96, 4000, 989.5, link_kind=_NVLINK, link_gb_per_s=450, has_fp8=True,
        source="NVIDIA GH200 data sheet (HBM3), half of the sparse figure",
    ),
    _define(
        "H200", "hopper", 141, 4800, 989.5, link_kind=_NVLINK, link_gb_per_s=450, has_fp8=True,
        source="NVIDIA H200 SXM data sheet, half of the sparse figure",
    ),
    _define(
        "B200", "blackwell", 180, 8000, 2250, link_kind=_NVLINK, link_gb_per_s=900, has_fp8=True,
        source="NVIDIA HGX B200 data sheet, an eighth of the board, half of the sparse figure",
    ),
    _define(
        "MI300X", "cdna3", 192, 5300, 1307.4, vendor="amd", link_kind=_FABRIC, link_gb_per_s=448, has_fp8=True,
        source="AMD Instinct MI300X data sheet",
    ),
    GpuSpec(
        name=CPU_SLOT,
        vendor="host",
        kind=DeviceKind.CPU,
        generation="x86-64",
        memory_bytes=gib_to_bytes(2),
        # One core of an AMD EPYC with AVX-512 BF16: 0.41 Tflop/s in prefill and 16.5 GB/s in decode of a model of
        # 100 M parameters were measured (2026-11-22), so peaks a little above; measured profiles replace them.
        memory_bandwidth_bytes_per_s=20 * _GB,
        peak_flop_per_s=tflops_to_flop_per_s(0.5),
        link_kind=LinkKind.SHARED_MEMORY,
        link_bytes_per_s=10 * _GB,
        has_fp8=False,
        source="measured on this project's host, one core, one thread",
        source_date="2026-11-22",
    ),
)  # fmt: skip
_BY_NAME: Final = {spec.name: spec for spec in _SPECS}

# Memory sizes are not part of a name but where one chip is sold with two.
_NOISE: Final = re.compile(
    r"nvidia|amd|tesla|geforce|instinct|quadro|tensor core|gpu|\bsxm\d?\b|\bhgx\b|\bpcie\b|\bhbm\w*\b|[()_/]"
)
_MEMORY: Final = re.compile(r"\b(\d+)\s*(?:gb|gib|g)\b|-(\d+)(?:gb|g)?$")
_ALIASES: Final = {"rtxa4000": "A4000", "rtxa5000": "A5000", "rtxa6000": "A6000", "4090": "RTX4090"}
_NEVER_PCIE: Final = frozenset({"H100"})  # the card of this name on PCIe has other memory and clocks
_SIZED_A100: Final = {None: None, 40: "A100-40", 80: "A100-80"}
_BY_KEY: Final = {spec.name.lower().replace("-", ""): spec.name for spec in _SPECS} | _ALIASES


def list_gpu_specs() -> tuple[GpuSpec, ...]:
    """Return every accelerator of the catalogue, in the order people know them."""
    return _SPECS


def get_gpu_spec(name: str) -> GpuSpec:
    """Return the data sheet of a canonical name.

    Raises:
        UnknownGpuError: the catalogue has no such name.
    """
    spec = _BY_NAME.get(name)
    if spec is None:
        raise UnknownGpuError(
            f"no accelerator is called {name!r}",
            field="gpu_name",
            remedy=f"use one of {', '.join(_BY_NAME)}",
            name=name,
        )
    return spec


def normalise_gpu_name(text: str) -> str | None:
    """Return the canonical name behind what providers write, such as `NVIDIA A100-SXM4-80GB`.

    Returns:
        The canonical name; None when the text names no accelerator of the catalogue (an H100 on
        PCIe is another card than the H100 meant here), or an A100 without its memory.
    """
    if text in _BY_NAME:
        return text
    lowered = _NOISE.sub(" ", text.lower().replace("-sxm", " sxm").replace("-pcie", " pcie"))
    sizes = [int(first or second) for first, second in _MEMORY.findall(lowered)]
    key = re.sub(r"[\s-]+", "", _MEMORY.sub(" ", lowered))
    if key == "a100":
        return _SIZED_A100.get(sizes[0] if sizes else None)
    name = _BY_KEY.get(key)
    return None if name in _NEVER_PCIE and "pcie" in text.lower() else name
