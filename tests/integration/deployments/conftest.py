"""Deployments on this host with real node agents, and a database to keep them in."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from engine.clouds.local import LocalProvider, LocalSettings
from engine.domain.codec import value_to_json
from engine.domain.configuration import Phase, Stage
from engine.domain.plan import (
    Objective,
    Plan,
    PlannedMachine,
    PlannedReplica,
    PlannedStage,
    SolverReport,
    SolveStatus,
)
from engine.market.local import define_local_offer
from engine.serving import processes
from webapp.core.models import Role, User
from webapp.deployments.access import Access, connect_agent
from webapp.deployments.applying import apply_plan
from webapp.deployments.models import Deployment, Machine
from webapp.deployments.reconcile import reconcile_deployment
from webapp.market import services as market_services
from webapp.planning.mapping import offers_to_json
from webapp.planning.models import Plan as PlanRow
from webapp.planning.models import PlanRequest, PlanState, ServedModel, WorkloadProfile

CLASS_ID = "p32-o16"
USD_PER_SLOT_HOUR = 0.02


def define_plan(num_machines: int, *, offer_id: str) -> Plan:
    """Return a plan of slots with one small replica on each."""
    numbers = range(1, num_machines + 1)
    return Plan(
        objective=Objective.MAX_RATE,
        model_ids=("demo",),
        machines=tuple(
            PlannedMachine(id=f"m{number}", offer_id=offer_id, usd_per_hour=USD_PER_SLOT_HOUR) for number in numbers
        ),
        replicas=tuple(_define_replica(number, offer_id, num_machines) for number in numbers),
        usd_per_hour=USD_PER_SLOT_HOUR * num_machines,
        prediction=None,
        report=SolverReport(
            status=SolveStatus.OPTIMAL,
            solver="test",
            objective=1.0,
            best_bound=1.0,
            gap=0.0,
            runtime_s=0.0,
            dropped={},
        ),
        baselines=(),
    )


def _define_replica(number: int, offer_id: str, num_machines: int) -> PlannedReplica:
    stage = Stage(offer_id=offer_id, machine_index=0, gpu_name="cpu-slot", tensor_parallel=1, num_layers=8)
    return PlannedReplica(
        id=f"r{number}",
        model_id="demo",
        phase=Phase.MIXED,
        configuration_id="demo/tp1",
        stages=(PlannedStage(machine_id=f"m{number}", stage=stage),),
        shares={CLASS_ID: 1 / num_machines},
        requests_per_s=1.0,
        kv_tokens=8192,
        max_num_seqs=16,
        max_num_batched_tokens=2048,
        engine_args={"max-model-len": "2048", "kv-cache-memory-bytes": str(64 * 2**20)},
    )


@dataclass(kw_only=True)
class Host:
    """This host as Medley sees it: home, provider, and deployments brought towards their plans."""

    home: Path
    access: Access
    provider: LocalProvider

    def start(self, num_machines: int, *, weights_path: str, name: str = "chat") -> Deployment:
        """Return a deployment whose approved plan was handed over."""
        request = self._approve(num_machines, weights_path=weights_path, name=name)
        deployment = apply_plan(plan_request_id=request.pk, now=datetime.now(UTC), access=self.access)
        assert deployment is not None
        return deployment

    def _approve(self, num_machines: int, *, weights_path: str, name: str) -> PlanRequest:
        now = datetime.now(UTC)
        offer = define_local_offer(num_slots=num_machines, usd_per_slot_hour=USD_PER_SLOT_HOUR, now=now)
        market_services.load_offers(source="test", offers=(offer,), refused=(), now=now)
        request = PlanRequest.objects.create(
            deployment_name=name,
            author=User.objects.create_user(username=f"author-{name}", role=Role.PLANNER),
            created_at=now,
            updated_at=now,
            state=PlanState.APPROVED,
            objective="max_rate",
            budget_usd_per_hour=Decimal("0.02") * num_machines,
            model=ServedModel.objects.create(
                slug="demo", name="Demo", config={}, weights_path=weights_path, created_at=now
            ),
            workload=WorkloadProfile.objects.create(
                slug="demo",
                name="Demo",
                source="test",
                arrival="poisson",
                requests_per_s=1.0,
                classes=[{"id": CLASS_ID, "prompt_tokens": 32, "output_tokens": 16, "share": 1.0}],
                created_at=now,
            ),
        )
        plan = define_plan(num_machines, offer_id=offer.id)
        PlanRow.objects.create(
            request=request,
            created_at=now,
            usd_per_hour=Decimal(str(plan.usd_per_hour)),
            body=value_to_json(plan),
            instance={},
            offers=offers_to_json(plan, [offer]),
        )
        return request

    def reconcile(self, deployment: Deployment, *, watch_s: float = 5.0) -> None:
        """Reconcile with the real clock, and read the row again."""
        reconcile_deployment(deployment_id=deployment.pk, watch_s=watch_s, access=self.access)
        deployment.refresh_from_db()

    def reconcile_until(
        self, deployment: Deployment, condition: Callable[[], bool], *, what: str, timeout_s: float = 120.0
    ) -> None:
        """Reconcile again and again until the condition holds."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.reconcile(deployment, watch_s=1.0)
            if condition():
                return
            if time.monotonic() > deadline:
                pytest.fail(f"not {what} after {timeout_s:.0f} s: {deployment.state}: {deployment.state_reason}")
            time.sleep(0.2)

    def read_agent_pid(self, machine: Machine) -> int:
        """Return the process of a machine's agent."""
        return int((self.home / "agents" / str(machine.token) / "agent.lock").read_text())

    def list_processes(self) -> list[int]:
        """Return living processes that carry this home in their environment or command line."""
        needle = str(self.home).encode()
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        living = [pid for pid in pids if pid != os.getpid() and processes.find_process(pid) is not None]
        return [pid for pid in living if needle in _read_marks(pid)]


def _read_marks(pid: int) -> bytes:
    """Return environment and command line of a process, empty when it has just gone."""
    folder = Path("/proc") / str(pid)
    try:
        return (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[Callable[[Path], Host]]:
    """Builder of hosts; whatever a test leaves on them is released at the end."""
    providers: list[LocalProvider] = []

    def make(vllm_python: Path) -> Host:
        provider = LocalProvider(LocalSettings(home=tmp_path, vllm_python=vllm_python))
        providers.append(provider)
        access = Access(find_provider=lambda _name: provider, connect=connect_agent, provider_names=("local",))
        return Host(home=tmp_path, access=access, provider=provider)

    yield make
    for provider in providers:
        for machine in provider.list_tagged():
            provider.release(machine.machine_token)
