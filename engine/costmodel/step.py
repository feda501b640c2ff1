"""Time of one engine step on one pipeline stage.

A stage of l layers processes T tokens of R requests: prefill chunks (n_i new tokens after c_i computed ones) and D
decoding sequences with total context C. P matmul parameters and A heads of size d per layer, w bytes per weight,
F peak flop/s (x2 for fp8, x4 for fp4 where the accelerator has it), BW memory bandwidth, t tensor-parallel degree:

    lin  = max( l P w / (t ew BW), 2 l P T / (t ec F) )              attention and dense MLPs
    exp  = max( bytes of the distinct experts touched, flops of k + S experts a token ), likewise
    head = max( 2 V H / (t ew BW), 2 V H R / (t ec F) )              last stage only
    kv   = KV bytes per token and accelerator * C / (ek BW)          a sliding layer reads its window at most
    att  = sum_i 4 l A d n_i (c_i + n_i / 2) / (t ea F)              causal; likewise
    ovh  = l o_layer + o_seq R + o_sl l D + (l o_pre if the step holds a prefill)
    ar   = 2 l (a + 2 (t - 1) / t T H 2 / beta) + o_tp               if t > 1: two all-reduces per layer
    step = lin + exp + head + kv + att + ovh + ar, at least l o_host where T is above the capture limit

Distinct experts of E with k per token: E (1 - (1 - k / E)^T) + S a layer. o_step comes once per batch, not per stage.
Source: cost model specification, section 3.
"""

from dataclasses import dataclass
from typing import Final

from engine.costmodel.coefficients import Coefficients
from engine.costmodel.shape import StageLayers, StageShape
from engine.costmodel.sizes import (
    BYTES_16_BIT,
    count_attention_parameters,
    count_dense_mlp_parameters,
    count_expert_parameters,
    count_router_parameters,
    get_dense_bytes_per_weight,
    get_expert_bytes_per_weight,
    get_kv_bytes_per_layer,
)
from engine.domain.hardware import GpuSpec
from engine.domain.model_spec import ModelSpec, WeightFormat

_FLOP_PER_PARAMETER: Final = 2  # a multiplication and an addition
_FP4_GENERATION: Final = "blackwell"
_ALL_REDUCES_PER_LAYER: Final = 2
_LARGEST_CAPTURE_TOKENS: Final = 512  # vLLM's own limit
_CAPTURE_TOKENS_PER_SEQUENCE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLoad:
    """What one step processes.

    Attributes:
        tokens: all tokens (T); requests: all requests (R); decodes: decoding sequences (D).
        context_tokens: total context of the decoding sequences (C); window_tokens: the same, each cut to the window.
        pairs: sum over prefill chunks of n (c + n / 2); window_pairs: the same, looking back over the window only.
    """

    tokens: int
    requests: int
    decodes: int = 0
    context_tokens: float = 0.0
    window_tokens: float = 0.0
    pairs: float = 0.0
    window_pairs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertTerms:
    """Experts of a stage.

    Attributes:
        read_s: time to read one routed expert of every MoE layer [s].
        token_s: time to compute all the experts a token visits [s].
        shared_experts: shared experts, in weight bytes of a routed one.
        miss_ratio: chance that a token leaves a given expert alone.
    """

    read_s: float
    token_s: float
    num_experts: int
    shared_experts: float
    miss_ratio: float

    def estimate_s(self, tokens: int) -> float:
        """Return the time of all expert matmuls [s]."""
        distinct = self.num_experts * (1.0 - self.miss_ratio**tokens) + self.shared_experts
        return max(self.read_s * distinct, self.token_s * tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTerms:
    """Everything of a stage's step time that does not depend on the load [s per what the name says]."""

    linear_read_s: float
    linear_token_s: float
    experts: ExpertTerms | None
    head_read_s: float
    head_request_s: float
    context_token_s: float
    window_token_s: float
    pair_s: float
    window_pair_s: float
    fixed_s: float
    request_s: float
    decode_s: float
    prefill_s: float
    all_reduce_token_s: float
    uncaptured_s: float
    capture_tokens: int
    hop_s: float
    hop_token_s: float


def define_stage_terms(
    model: ModelSpec, stage: StageShape, layers: StageLayers, coefficients: Coefficients, *, max_num_seqs: int
) -> StageTerms:
    """Return the terms of one stage."""
    gpu, split = stage.gpu, stage.tensor_parallel
    read_bytes_per_s = split * coefficients.weight_read_ratio * gpu.memory_bandwidth_bytes_per_s
    flop_per_s = split * coefficients.matmul_ratio * gpu.peak_flop_per_s
    head = model.vocab_size * model.hidden_size if layers.has_head else 0
    kv_s = get_kv_bytes_per_layer(model, split) / (coefficients.kv_read_ratio * gpu.memory_bandwidth_bytes_per_s)
    pair_s = _count_pair_flop(model) / (split * coefficients.attention_ratio * gpu.peak_flop_per_s)
    hidden_bytes = model.hidden_size * BYTES_16_BIT
    is_split = split > 1
    all_reduce_bytes = 2 * (split - 1) / split * hidden_bytes
    all_reduces = _ALL_REDUCES_PER_LAYER * layers.num_layers if is_split else 0
    return StageTerms(
        linear_read_s=_count_linear_bytes(model, layers) / read_bytes_per_s,
        linear_token_s=_count_linear_flop(model, layers, gpu) / flop_per_s,
        experts=_define_experts(model, layers, gpu, read_bytes_per_s, flop_per_s),
        head_read_s=head * BYTES_16_BIT / read_bytes_per_s,
        head_request_s=head * _FLOP_PER_PARAMETER / flop_per_s,
        context_token_s=layers.num_full_layers * kv_s,
        window_token_s=layers.num_sliding_layers * kv_s,
        pair_s=layers.num_full_layers * pair_s,
        window_pair_s=layers.num_sliding_layers * pair_s,
        fixed_s=layers.num_layers * coefficients.layer_s
        + all_reduces * coefficients.all_reduce_s
        + is_split * coefficients.tensor_parallel_s,
        request_s=coefficients.request_s,
        decode_s=layers.num_layers * coefficients.decode_layer_s,
        prefill_s=layers.num_layers * coefficients.prefill_layer_s,
        all_reduce_token_s=all_reduces * all_reduce_bytes / (coefficients.link_ratio * gpu.link_bytes_per_s),
        uncaptured_s=layers.num_layers * coefficients.host_layer_s,
        capture_tokens=min(_CAPTURE_TOKENS_PER_SEQUENCE * max_num_seqs, _LARGEST_CAPTURE_TOKENS),
        hop_s=coefficients.hop_s,
        hop_token_s=hidden_bytes / (coefficients.hop_link_ratio * gpu.link_bytes_per_s),
    )


def estimate_stage_s(terms: StageTerms, load: StepLoad) -> float:
    """Return the time one stage takes for one step, o_step apart [s]."""
    matmul_s = max(terms.linear_read_s, terms.linear_token_s * load.tokens)
    if terms.experts is not None:
        matmul_s += terms.experts.estimate_s(load.tokens)
    head_s = max(terms.head_read_s, terms.head_request_s * load.requests)
    kv_s = terms.context_token_s * load.context_tokens + terms.window_token_s * load.window_tokens
    attention_s = terms.pair_s * load.pairs + terms.window_pair_s * load.window_pairs
    overhead_s = terms.fixed_s + terms.request_s * load.requests + terms.decode_s * load.decodes
    if load.pairs > 0.0:
        overhead_s += terms.prefill_s
    step_s = matmul_s + head_s + kv_s + attention_s + overhead_s + terms.all_reduce_token_s * load.tokens
    return max(step_s, terms.uncaptured_s) if load.tokens > terms.capture_tokens else step_s


def _count_pair_flop(model: ModelSpec) -> int:
    """Return flop of one layer's attention for one (new token, earlier token) pair."""
    if model.mla is None:
        return 2 * _FLOP_PER_PARAMETER * model.num_attention_heads * model.head_dim
    widths = model.mla.qk_nope_head_dim + model.mla.qk_rope_head_dim + model.mla.v_head_dim
    return _FLOP_PER_PARAMETER * model.num_attention_heads * widths


def _count_linear_parameters(model: ModelSpec, layers: StageLayers) -> int:
    """Return parameters of attention and dense MLPs, which may be quantised."""
    attention = layers.num_layers * count_attention_parameters(model)
    return attention + layers.num_dense_layers * count_dense_mlp_parameters(model)


def _count_routers(model: ModelSpec, layers: StageLayers) -> int:
    return 0 if model.moe is None else layers.num_moe_layers * count_router_parameters(model, model.moe)


def _count_linear_bytes(model: ModelSpec, layers: StageLayers) -> float:
    quantised_bytes = _count_linear_parameters(model, layers) * get_dense_bytes_per_weight(model)
    return quantised_bytes + _count_routers(model, layers) * BYTES_16_BIT


def _count_linear_flop(model: ModelSpec, layers: StageLayers, gpu: GpuSpec) -> float:
    """Return flop per token, in 16-bit flop: a format that runs twice as fast counts half."""
    speed = 1.0 if model.has_quantized_experts_only else _get_speed(model.weight_format, gpu)
    parameters = _count_linear_parameters(model, layers) / speed + _count_routers(model, layers)
    return _FLOP_PER_PARAMETER * parameters


def _get_speed(weight_format: WeightFormat, gpu: GpuSpec) -> float:
    """Return the flop/s of a format over those of 16 bit; formats the accelerator lacks are computed in 16 bit."""
    if weight_format in {WeightFormat.NVFP4, WeightFormat.MXFP4}:
        return 4.0 if gpu.generation == _FP4_GENERATION else 1.0
    return 2.0 if weight_format is WeightFormat.FP8 and gpu.has_fp8 else 1.0


def _define_experts(
    model: ModelSpec, layers: StageLayers, gpu: GpuSpec, read_bytes_per_s: float, flop_per_s: float
) -> ExpertTerms | None:
    if model.moe is None or layers.num_moe_layers == 0:
        return None
    moe = model.moe
    expert = layers.num_moe_layers * count_expert_parameters(model, moe)
    shared = moe.num_shared_experts * get_dense_bytes_per_weight(model) / get_expert_bytes_per_weight(model)
    visited = moe.experts_per_token + moe.num_shared_experts
    flop = _FLOP_PER_PARAMETER * expert * visited / _get_speed(model.weight_format, gpu)
    return ExpertTerms(
        read_s=expert * get_expert_bytes_per_weight(model) / read_bytes_per_s,
        token_s=flop / flop_per_s,
        num_experts=moe.num_experts,
        shared_experts=shared,
        miss_ratio=1.0 - moe.experts_per_token / moe.num_experts,
    )
