"""A plan made real on this host: two vLLM shards that answer, survive their agent and leave nothing behind."""

import os
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from webapp.deployments import selectors, services
from webapp.deployments.models import Deployment, Machine, Shard
from webapp.planning.models import PlanRequest

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.serving, pytest.mark.slow]

CHECKOUT = Path(__file__).resolve().parents[3]
VLLM_PYTHON = Path(os.environ.get("MEDLEY_VLLM_PYTHON", CHECKOUT / ".venv-vllm" / "bin" / "python"))


@pytest.fixture(scope="module")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model, made anew."""
    if not VLLM_PYTHON.exists():
        pytest.skip(f"real vLLM is not installed: {VLLM_PYTHON} does not exist")
    out_dir = tmp_path_factory.mktemp("models") / "demo"
    subprocess.run(
        [VLLM_PYTHON, "-P", "-m", "engine.serving.demo_model", out_dir],
        check=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
    )
    return out_dir


@pytest.fixture
def host(make_host: Callable[[Path], Any], demo_model: Path) -> Any:
    """This host with vLLM."""
    return make_host(VLLM_PYTHON)


def complete(shard: Shard) -> str:
    body = {"model": "demo", "prompt": "one two three", "max_tokens": 4}
    answer = httpx.post(f"{shard.url}/v1/completions", json=body, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["object"])


def list_shards(deployment: Deployment) -> list[Shard]:
    return list(deployment.shards.exclude(state="stopped").order_by("shard_id"))


class TestRealDeployment:
    def test_goes_live_loses_an_agent_and_a_shard_and_ends_without_a_trace(self, host: Any, demo_model: Path) -> None:
        deployment = host.start(2, weights_path=str(demo_model))
        host.reconcile_until(deployment, lambda: deployment.state == "live", what="live", timeout_s=300.0)
        assert PlanRequest.objects.get().state == "live"
        shards = list_shards(deployment)
        assert [complete(shard) for shard in shards] == ["text_completion"] * 2
        self.check_routes(shards)
        self.check_log(host, shards[0])
        self.lose_agent(host, deployment, shards)
        self.lose_shard(host, deployment, shards[0])
        services.stop_deployment(actor=None, name="chat", now=datetime.now(UTC))
        host.reconcile_until(deployment, lambda: deployment.state == "stopped", what="stopped")
        assert host.list_processes() == []
        assert host.provider.list_tagged() == ()

    def check_routes(self, shards: list[Shard]) -> None:
        (routes,) = selectors.build_routing_table().deployments
        assert [(route.shard_id, route.url, route.accepts_requests) for route in routes.shards] == [
            (shard.shard_id, shard.url, True) for shard in shards
        ]

    def check_log(self, host: Any, shard: Shard) -> None:
        lines = selectors.read_shard_log(name="chat", shard_id=shard.shard_id, tail=5, access=host.access)
        assert "Application startup complete." in lines[-1]

    def lose_agent(self, host: Any, deployment: Deployment, shards: list[Shard]) -> None:
        """An agent is killed: its shard serves on and is taken over as it is."""
        machine = shards[0].machine
        pid = host.read_agent_pid(machine)
        os.kill(pid, signal.SIGKILL)
        assert complete(shards[0]) == "text_completion"
        host.reconcile_until(
            deployment,
            lambda: host.read_agent_pid(machine) != pid and deployment.state == "live",
            what="live with another agent",
        )
        assert [shard.pid for shard in list_shards(deployment)] == [shard.pid for shard in shards]
        assert Machine.objects.count() == 2

    def lose_shard(self, host: Any, deployment: Deployment, shard: Shard) -> None:
        """A shard is killed: it is started again by its agent, on its port."""
        os.kill(shard.pid or 0, signal.SIGKILL)
        host.reconcile_until(
            deployment, lambda: self.is_another(shard) and deployment.state == "live", what="live with another process"
        )
        again = Shard.objects.get(pk=shard.pk)
        assert (again.port, again.num_restarts) == (shard.port, shard.num_restarts + 1)
        assert complete(again) == "text_completion"

    def is_another(self, shard: Shard) -> bool:
        return Shard.objects.get(pk=shard.pk).pid not in {None, shard.pid}
