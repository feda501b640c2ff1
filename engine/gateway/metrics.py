"""The gateway's Prometheus metrics, in a registry of their own. Every name stands in README.md."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from engine.gateway.protocol import RequestRecord

# Bounds [s] from a cached prompt on a fast GPU to a long answer of an overloaded shard (we choose).
_TTFT_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_TPOT_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.35, 0.5, 1.0)
_E2E_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

M = TypeVar("M", Counter, Histogram)


class GatewayMetrics:
    """Counters, gauges and histograms of one gateway process.

    Looking a metric up by its labels costs more than changing it, and every request changes seven: found ones are kept.
    """

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry(auto_describe=True)
        self._requests = self._define_counter("requests", "Finished requests.", ("deployment", "shard", "outcome"))
        self._tokens = self._define_counter("tokens", "Tokens of finished requests.", ("deployment", "kind"))
        self._in_flight = Gauge(
            "medley_gateway_in_flight", "Requests inside the gateway.", ("deployment",), registry=self.registry
        )
        self._retries = self._define_counter(
            "retries", "Attempts that failed before the first byte.", ("deployment", "shard", "kind")
        )
        self._picks = self._define_counter("picks", "Routing decisions.", ("deployment", "shard", "reason"))
        self._pulls = self._define_counter("table_pulls", "Asks for the routing table.", ("result",))
        self._ttft = self._define_latency("ttft", "Arrival to first output token.", _TTFT_BUCKETS_S)
        self._tpot = self._define_latency("tpot", "Time per output token after the first.", _TPOT_BUCKETS_S)
        self._e2e = self._define_latency("e2e", "Arrival to last output token.", _E2E_BUCKETS_S)

        self._deployments: set[str] = set()

    def _define_counter(self, name: str, text: str, labels: tuple[str, ...]) -> Callable[..., Counter]:
        return _keep_found(Counter(f"medley_gateway_{name}", text, labels, registry=self.registry))

    def _define_latency(self, name: str, text: str, buckets: tuple[float, ...]) -> Callable[..., Histogram]:
        full_name = f"medley_gateway_{name}_seconds"
        return _keep_found(Histogram(full_name, text, ("deployment",), buckets=buckets, registry=self.registry))

    def note_pick(self, deployment: str, shard_id: str, reason: str) -> None:
        """Count a routing decision."""
        self._picks(deployment, shard_id, reason).inc()

    def note_retry(self, deployment: str, shard_id: str, kind: str) -> None:
        """Count an attempt that failed before the first byte."""
        self._retries(deployment, shard_id, kind).inc()

    def note_pull(self, result: str) -> None:
        """Count an ask for the routing table."""
        self._pulls(result).inc()

    def note_record(self, record: RequestRecord) -> None:
        """Count a finished request."""
        self._deployments.add(record.deployment)
        self._requests(record.deployment, record.shard_id, record.outcome.value).inc()
        self._tokens(record.deployment, "prompt").inc(record.prompt_tokens)
        self._tokens(record.deployment, "output").inc(record.output_tokens)
        for histogram, value in ((self._ttft, record.ttft_s), (self._tpot, record.tpot_s), (self._e2e, record.e2e_s)):
            if value is not None:
                histogram(record.deployment).observe(value)

    def render(self, in_flight: Mapping[str, int]) -> bytes:
        """Return the text that Prometheus reads; a deployment once seen is shown with 0 when it has nothing inside."""
        self._deployments |= in_flight.keys()
        for name in self._deployments:
            self._in_flight.labels(name).set(in_flight.get(name, 0))
        return generate_latest(self.registry)


def _keep_found(metric: M) -> Callable[..., M]:
    """Return a look-up by labels that asks the metric once for each."""
    found: dict[tuple[str, ...], M] = {}

    def find(*labels: str) -> M:
        child = found.get(labels)
        if child is None:
            child = found[labels] = metric.labels(*labels)
        return child

    return find
