"""The gateway's Prometheus metrics, in a registry of their own. Every name stands in README.md."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from engine.gateway.protocol import RequestRecord

# Bounds [s] from a cached prompt on a fast GPU to a long answer of an overloaded shard (we choose).
_TTFT_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_TPOT_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.35, 0.5, 1.0)
_E2E_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class GatewayMetrics:
    """Counters, gauges and histograms of one gateway process."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "medley_gateway_requests", "Finished requests.", ("deployment", "shard", "outcome"), registry=self.registry
        )
        self._tokens = Counter(
            "medley_gateway_tokens", "Tokens of finished requests.", ("deployment", "kind"), registry=self.registry
        )
        self._in_flight = Gauge(
            "medley_gateway_in_flight", "Requests inside the gateway.", ("deployment",), registry=self.registry
        )
        self._retries = Counter(
            "medley_gateway_retries",
            "Attempts that failed before the first byte.",
            ("deployment", "shard", "kind"),
            registry=self.registry,
        )
        self._picks = Counter(
            "medley_gateway_picks", "Routing decisions.", ("deployment", "shard", "reason"), registry=self.registry
        )
        self._pulls = Counter(
            "medley_gateway_table_pulls", "Asks for the routing table.", ("result",), registry=self.registry
        )
        self._ttft = self._define_latency("ttft", "Arrival to first output token.", _TTFT_BUCKETS_S)
        self._tpot = self._define_latency("tpot", "Time per output token after the first.", _TPOT_BUCKETS_S)
        self._e2e = self._define_latency("e2e", "Arrival to last output token.", _E2E_BUCKETS_S)

    def _define_latency(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        full_name = f"medley_gateway_{name}_seconds"
        return Histogram(full_name, text, ("deployment",), buckets=buckets, registry=self.registry)

    def note_in_flight(self, deployment: str, count: int) -> None:
        """Show how many requests a deployment has inside."""
        self._in_flight.labels(deployment).set(count)

    def note_pick(self, deployment: str, shard_id: str, reason: str) -> None:
        """Count a routing decision."""
        self._picks.labels(deployment, shard_id, reason).inc()

    def note_retry(self, deployment: str, shard_id: str, kind: str) -> None:
        """Count an attempt that failed before the first byte."""
        self._retries.labels(deployment, shard_id, kind).inc()

    def note_pull(self, result: str) -> None:
        """Count an ask for the routing table."""
        self._pulls.labels(result).inc()

    def note_record(self, record: RequestRecord) -> None:
        """Count a finished request."""
        self._requests.labels(record.deployment, record.shard_id, record.outcome.value).inc()
        self._tokens.labels(record.deployment, "prompt").inc(record.prompt_tokens)
        self._tokens.labels(record.deployment, "output").inc(record.output_tokens)
        for histogram, value in ((self._ttft, record.ttft_s), (self._tpot, record.tpot_s), (self._e2e, record.e2e_s)):
            if value is not None:
                histogram.labels(record.deployment).observe(value)

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self.registry)
