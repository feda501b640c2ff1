"""From the text of vLLM's `/metrics` to the figures the console keeps. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from engine.errors import UnavailableError
from engine.serving.protocol import ShardMetrics

_RUNNING: Final = "vllm:num_requests_running"
_WAITING: Final = "vllm:num_requests_waiting"
_KV_USAGE: Final = "vllm:kv_cache_usage_perc"  # a ratio in spite of its name
_PROMPT_TOKENS: Final = "vllm:prompt_tokens_total"
_GENERATION_TOKENS: Final = "vllm:generation_tokens_total"
_PREEMPTIONS: Final = "vllm:num_preemptions_total"
_WANTED: Final = (_RUNNING, _WAITING, _KV_USAGE, _PROMPT_TOKENS, _GENERATION_TOKENS, _PREEMPTIONS)
_PREFIXES: Final = tuple(f"{name}{end}" for name in _WANTED for end in ("{", " "))


class UnknownMetricsError(UnavailableError):
    """The text lacks a figure: not vLLM, or a version that names it otherwise."""

    code = "unknown_metrics"


def parse_shard_metrics(text: str, *, shard_id: str, observed_at: datetime) -> ShardMetrics:
    """Return the shard's figures; engines of one shard are added up, the KV usage is the fullest one's.

    Only the wanted lines are parsed: the histograms around them are a hundred times as many.

    Raises:
        UnknownMetricsError: a figure is missing.
    """
    values = _collect(line for line in text.splitlines() if line.startswith(_PREFIXES))
    missing = [name for name in _WANTED if name not in values]
    if missing:
        raise UnknownMetricsError(f"{shard_id}: /metrics lacks {missing[0]}", shard_id=shard_id)
    return ShardMetrics(
        shard_id=shard_id,
        num_running=round(sum(values[_RUNNING])),
        num_waiting=round(sum(values[_WAITING])),
        kv_cache_usage_ratio=max(values[_KV_USAGE]),
        prompt_tokens_total=round(sum(values[_PROMPT_TOKENS])),
        generation_tokens_total=round(sum(values[_GENERATION_TOKENS])),
        num_preemptions_total=round(sum(values[_PREEMPTIONS])),
        observed_at=observed_at,
    )


def _collect(lines: Iterable[str]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            values.setdefault(sample.name, []).append(sample.value)
    return values
