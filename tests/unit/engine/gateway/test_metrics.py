"""Prometheus metrics."""

import re
from pathlib import Path

from engine.gateway.metrics import GatewayMetrics

README = Path(__file__).resolve().parents[4] / "engine" / "gateway" / "README.md"


class TestGatewayMetrics:
    def test_are_all_described_in_the_readme_and_no_others(self) -> None:
        described = set(re.findall(r"^\| `(medley_gateway_[a-z0-9_]+)`", README.read_text(), re.MULTILINE))
        families = GatewayMetrics().registry.collect()
        names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
        assert names == described

    def test_show_a_deployment_without_requests_as_zero(self) -> None:
        metrics = GatewayMetrics()
        assert b'medley_gateway_in_flight{deployment="chat"} 3.0' in metrics.render({"chat": 3})
        assert b'medley_gateway_in_flight{deployment="chat"} 0.0' in metrics.render({})

    def test_of_two_gateways_in_one_process_stay_apart(self) -> None:
        first, second = GatewayMetrics(), GatewayMetrics()
        first.note_pick("chat", "a", "planned")
        assert b'shard="a"' in first.render({})
        assert b'shard="a"' not in second.render({})
