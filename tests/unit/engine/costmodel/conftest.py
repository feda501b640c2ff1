"""Models with known sizes, and replicas of them."""

from collections.abc import Callable

import pytest

from engine.costmodel.shape import ReplicaShape, StageShape
from engine.domain.gpu_catalog import get_gpu_spec
from engine.domain.model_spec import MlaSpec, ModelSpec, MoeSpec

DefineReplica = Callable[..., ReplicaShape]


def _define(model_id: str, **sizes: object) -> ModelSpec:
    return ModelSpec(id=model_id, name=model_id, max_context_tokens=131_072, **sizes)


@pytest.fixture
def llama_8b() -> ModelSpec:
    """Llama-3 8B."""
    return _define(
        "llama3-8b", num_layers=32, hidden_size=4096, num_attention_heads=32, num_kv_heads=8, head_dim=128,
        intermediate_size=14336, vocab_size=128_256,
    )  # fmt: skip


@pytest.fixture
def llama_70b() -> ModelSpec:
    """Llama-3 70B."""
    return _define(
        "llama3-70b", num_layers=80, hidden_size=8192, num_attention_heads=64, num_kv_heads=8, head_dim=128,
        intermediate_size=28672, vocab_size=128_256,
    )  # fmt: skip


@pytest.fixture
def qwen3_32b() -> ModelSpec:
    """Qwen3-32B."""
    return _define(
        "qwen3-32b", num_layers=64, hidden_size=5120, num_attention_heads=64, num_kv_heads=8, head_dim=128,
        intermediate_size=25600, vocab_size=151_936,
    )  # fmt: skip


@pytest.fixture
def qwen3_235b() -> ModelSpec:
    """Qwen3-235B-A22B: every layer routes, four KV heads."""
    return _define(
        "qwen3-235b", num_layers=94, hidden_size=4096, num_attention_heads=64, num_kv_heads=4, head_dim=128,
        intermediate_size=12288, vocab_size=151_936,
        moe=MoeSpec(num_experts=128, experts_per_token=8, expert_intermediate_size=1536),
    )  # fmt: skip


@pytest.fixture
def minimax() -> ModelSpec:
    """MiniMax-M2.5."""
    return _define(
        "minimax-m2.5", num_layers=62, hidden_size=3072, num_attention_heads=48, num_kv_heads=8, head_dim=128,
        intermediate_size=1536, vocab_size=200_064,
        moe=MoeSpec(num_experts=256, experts_per_token=8, expert_intermediate_size=1536),
    )  # fmt: skip


@pytest.fixture
def gpt_oss() -> ModelSpec:
    """gpt-oss-120b: a window of 128 tokens in every second layer."""
    return _define(
        "gpt-oss-120b", num_layers=36, hidden_size=2880, num_attention_heads=64, num_kv_heads=8, head_dim=64,
        intermediate_size=2880, vocab_size=201_088, sliding_window=128, num_sliding_layers=18,
        moe=MoeSpec(num_experts=128, experts_per_token=4, expert_intermediate_size=2880),
    )  # fmt: skip


@pytest.fixture
def kimi() -> ModelSpec:
    """Kimi-K2.5: MLA, one shared expert, the first layer dense."""
    return _define(
        "kimi-k2.5", num_layers=61, hidden_size=7168, num_attention_heads=64, num_kv_heads=64, head_dim=192,
        intermediate_size=18432, vocab_size=163_840,
        mla=MlaSpec(q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128),
        moe=MoeSpec(
            num_experts=384, experts_per_token=8, expert_intermediate_size=2048, num_shared_experts=1,
            num_dense_layers=1,
        ),
    )  # fmt: skip


@pytest.fixture
def demo() -> ModelSpec:
    """The model this host serves itself."""
    return _define(
        "demo", num_layers=8, hidden_size=512, num_attention_heads=8, num_kv_heads=4, head_dim=64,
        intermediate_size=1408, vocab_size=8192,
    )  # fmt: skip


@pytest.fixture
def define_replica() -> DefineReplica:
    """Return a maker of replica shapes: (model, accelerator, TP, layers per stage) and engine limits."""

    def define(
        model: ModelSpec, gpu_name: str = "H200", tensor_parallel: int = 1, layers: tuple[int, ...] = (),
        *, max_num_seqs: int = 512, max_num_batched_tokens: int = 8192, gpu_memory_utilization: float = 0.9,
    ) -> ReplicaShape:  # fmt: skip
        gpu = get_gpu_spec(gpu_name)
        return ReplicaShape(
            model=model,
            stages=tuple(
                StageShape(gpu=gpu, tensor_parallel=tensor_parallel, num_layers=count)
                for count in layers or (model.num_layers,)
            ),
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            gpu_memory_utilization=gpu_memory_utilization,
        )

    return define
