"""Coefficients of the step time, and what is believed of them where nothing was measured.

Source of the priors: cost model specification, sections 4 and 5 (not published; we choose).
"""

from dataclasses import dataclass, replace
from typing import Final

from engine.domain.hardware import GpuSpec, LinkKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """How far an engine on one accelerator type stays from its data sheet. Ratios are of the data sheet's figure.

    Attributes:
        weight_read_ratio: memory bandwidth while reading weights (e_w).
        matmul_ratio: peak flop/s in matmuls (e_c).
        kv_read_ratio: memory bandwidth while reading the KV cache (e_k).
        attention_ratio: peak flop/s in prefill attention (e_a).
        link_ratio: link bandwidth in an all-reduce (beta over the link).
        hop_link_ratio: link bandwidth between pipeline stages.
        step_s: scheduler, sampler and host, per engine step [s].
        layer_s: per layer [s].
        request_s: per request in the step [s].
        decode_layer_s: per decoding sequence and layer [s].
        prefill_layer_s: extra per layer of a step that holds a prefill [s].
        all_reduce_s: start of an all-reduce inside the engine [s].
        tensor_parallel_s: extra per step and stage under tensor parallelism [s].
        host_layer_s: least time per layer of a step that no graph was captured for [s].
        hop_s: start of a transfer between pipeline stages [s].
    """

    weight_read_ratio: float
    matmul_ratio: float
    kv_read_ratio: float
    attention_ratio: float
    link_ratio: float
    hop_link_ratio: float
    step_s: float
    layer_s: float
    request_s: float
    decode_layer_s: float
    prefill_layer_s: float
    all_reduce_s: float
    tensor_parallel_s: float
    host_layer_s: float
    hop_s: float


_PRIOR: Final = Coefficients(
    weight_read_ratio=0.88,
    matmul_ratio=0.70,
    kv_read_ratio=0.75,
    attention_ratio=0.45,
    link_ratio=0.73,
    hop_link_ratio=0.9,
    step_s=1.5e-3,
    layer_s=30e-6,
    request_s=10e-6,
    decode_layer_s=0.1e-6,
    prefill_layer_s=40e-6,
    all_reduce_s=8e-6,
    tensor_parallel_s=0.5e-3,
    host_layer_s=0.75e-3,
    hop_s=55e-6,
)
_RECENT_GENERATIONS: Final = frozenset({"hopper", "blackwell"})
_OLDER_KV_READ_RATIO: Final = 0.65
_PCIE_ALL_REDUCE_S: Final = 20e-6
_PCIE_LINK_RATIO: Final = 0.7


def get_prior(gpu: GpuSpec) -> Coefficients:
    """Return what is believed of an accelerator before anything was measured on it."""
    prior = _PRIOR
    if gpu.generation not in _RECENT_GENERATIONS:
        prior = replace(prior, kv_read_ratio=_OLDER_KV_READ_RATIO)
    return fit_to_link(prior, gpu)


def fit_to_link(coefficients: Coefficients, gpu: GpuSpec) -> Coefficients:
    """Return the coefficients with those of the link replaced where the accelerator hangs on PCIe."""
    if gpu.link_kind is not LinkKind.PCIE:
        return coefficients
    return replace(
        coefficients,
        all_reduce_s=_PCIE_ALL_REDUCE_S,
        link_ratio=_PCIE_LINK_RATIO,
        hop_link_ratio=_PCIE_LINK_RATIO,
    )
