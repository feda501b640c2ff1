"""Reconciling against real node agents on this host, without vLLM."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webapp.deployments import services
from webapp.deployments.models import LedgerEntry, Machine
from webapp.planning.models import PlanRequest

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def host(make_host: Callable[[Path], Any], tmp_path: Path) -> Any:
    """A host on which vLLM is missing."""
    return make_host(tmp_path / "none" / "bin" / "python")


def is_running(machine: Machine) -> bool:
    machine.refresh_from_db()
    return machine.state == "ready"


class TestWithoutVllm:
    def test_shards_wait_with_the_reason_and_machines_are_ready(self, host: Any) -> None:
        deployment = host.start(2, weights_path="/models/demo")
        machines = list(Machine.objects.order_by("pk"))
        assert machines == []
        host.reconcile_until(
            deployment, lambda: deployment.shards.filter(state_reason__contains="vLLM").count() == 2, what="waiting"
        )
        assert deployment.state == "applying"
        assert "vLLM is not installed" in deployment.state_reason
        assert set(deployment.shards.values_list("state", flat=True)) == {"pending"}
        assert set(deployment.machines.values_list("state", flat=True)) == {"ready"}
        assert LedgerEntry.objects.filter(closed_at=None).count() == 2

    def test_a_killed_agent_is_started_again_under_its_token(self, host: Any) -> None:
        deployment = host.start(1, weights_path="/models/demo")
        host.reconcile_until(deployment, lambda: deployment.machines.filter(state="ready").exists(), what="ready")
        machine = Machine.objects.get()
        pid, url = host.read_agent_pid(machine), machine.agent_url
        os.kill(pid, signal.SIGKILL)
        host.reconcile_until(
            deployment, lambda: is_running(machine) and host.read_agent_pid(machine) != pid, what="back"
        )
        assert Machine.objects.count() == 1
        assert machine.agent_url == url
        assert LedgerEntry.objects.count() == 1

    def test_nothing_is_left_after_a_stop(self, host: Any) -> None:
        deployment = host.start(2, weights_path="/models/demo")
        host.reconcile_until(deployment, lambda: deployment.machines.filter(state="ready").count() == 2, what="ready")
        assert len(host.list_processes()) >= 2
        services.stop_deployment(actor=None, name="chat", now=deployment.created_at)
        host.reconcile_until(deployment, lambda: deployment.state == "stopped", what="stopped")
        assert host.list_processes() == []
        assert host.provider.list_tagged() == ()
        assert PlanRequest.objects.get().state == "stopped"
        assert not LedgerEntry.objects.filter(closed_at=None).exists()

    def test_everything_goes_and_comes_back_with_the_console(self, host: Any) -> None:
        deployment = host.start(1, weights_path="/models/demo")
        host.reconcile_until(deployment, lambda: deployment.machines.filter(state="ready").exists(), what="ready")
        assert services.release_local_machines(now=deployment.created_at, access=host.access) == 1
        assert host.list_processes() == []
        host.reconcile_until(deployment, lambda: deployment.machines.filter(state="ready").exists(), what="again")
        assert sorted(deployment.machines.values_list("state", flat=True)) == ["ready", "released"]
