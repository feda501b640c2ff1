"""Repairs of vLLM 0.32 that a shard on a CPU needs; applied in the preloaded process only.

Every name that is replaced is private to vLLM: a missing one is an error, and shards then start plainly.
"""

import importlib
import multiprocessing
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class MissingNameError(RuntimeError):
    """This vLLM does not have what the repair replaces."""


class _ModelRunner(Protocol):
    """The part of vLLM's model runner that the pipeline repair touches."""

    intermediate_tensors: object
    model: "_Model"
    max_num_tokens: int
    model_config: "_ModelConfig"
    device: object


class _Model(Protocol):
    def make_empty_intermediate_tensors(self, *, batch_size: int, dtype: object, device: object) -> object: ...


class _ModelConfig(Protocol):
    dtype: object


def _replace(owner: object, name: str, value: object) -> None:
    if not hasattr(owner, name):
        raise MissingNameError(f"{owner!r} has no {name}")
    setattr(owner, name, value)


def use_fork() -> None:
    """Make vLLM start its processes by fork; must run before anything else of vLLM is imported."""
    system_utils = importlib.import_module("vllm.utils.system_utils")
    _replace(system_utils, "get_mp_context", lambda: multiprocessing.get_context("fork"))


def inspect_models_in_process() -> None:
    """Look at model classes directly; vLLM's own way costs a fresh interpreter, 14 s per new architecture."""
    registry = importlib.import_module("vllm.model_executor.models.registry")
    _replace(registry, "_run_in_subprocess", _call)


def _call(function: Callable[[], T]) -> T:
    return function()


def keep_environment_readable() -> None:
    """Name processes by the kernel's short name, because a long title overwrites /proc/<pid>/environ."""
    setproctitle = importlib.import_module("setproctitle")
    _replace(setproctitle, "setproctitle", setproctitle.setthreadtitle)


def allocate_pipeline_buffers() -> None:
    """Allocate the receive buffers of later pipeline stages on first use; eager mode on a CPU never does."""
    runner = importlib.import_module("vllm.v1.worker.gpu_model_runner").GPUModelRunner
    original = runner.sync_and_gather_intermediate_tensors

    def sync(self: _ModelRunner, num_tokens: int, intermediate_tensors: object, sync_self: bool) -> object:
        if self.intermediate_tensors is None:
            self.intermediate_tensors = self.model.make_empty_intermediate_tensors(
                batch_size=self.max_num_tokens, dtype=self.model_config.dtype, device=self.device
            )
        return original(self, num_tokens, intermediate_tensors, sync_self)

    _replace(runner, "sync_and_gather_intermediate_tensors", sync)
