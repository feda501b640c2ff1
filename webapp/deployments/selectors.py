"""Reading deployments: summaries, one in full, agents for the collector, this host's serving, shard logs."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_UP, Decimal
from typing import Final

from django.conf import settings
from django.db.models import Prefetch

from engine.domain.plan import Plan
from engine.errors import InvalidInputError
from webapp.core.errors import ConflictError, NotFoundError
from webapp.deployments import ledger, states, wanting
from webapp.deployments.access import REAL_ACCESS, Access, AgentAccess, get_agent_access, list_agents
from webapp.deployments.desired import define_machine_label
from webapp.deployments.models import Deployment, DeploymentState, GatewayKey, LedgerEntry, Machine, Shard, ShardState
from webapp.deployments.routes import build_routing_table
from webapp.deployments.views import (
    DeploymentSummary,
    DeploymentView,
    GatewayKeyView,
    LedgerView,
    LocalServing,
    MachineView,
    ShardSummary,
    ShardView,
)
from webapp.planning import mapping as plan_mapping
from webapp.planning import selectors as plan_selectors
from webapp.planning.models import PlanState

__all__ = [
    "AgentAccess",
    "build_routing_table",
    "find_running_plan",
    "get_deployment_view",
    "list_agents",
    "list_deployments",
    "list_reconcilable_ids",
    "read_local_serving",
    "read_shard_log",
]

_NUM_RELEASED_SHOWN: Final = 10
_MAX_TAIL_LINES: Final = 5000  # an agent gives no more
_USD_STEP: Final = Decimal("0.000001")
_OPEN_SHARDS: Final = Shard.objects.exclude(state=ShardState.STOPPED).order_by("shard_id")


def list_deployments() -> list[DeploymentSummary]:
    """Return every deployment, also stopped ones, ordered by name."""
    held = Machine.objects.filter(state__in=states.HELD)
    rows = Deployment.objects.select_related("plan_request__model").prefetch_related(
        Prefetch("machines", queryset=held), Prefetch("shards", queryset=_OPEN_SHARDS.all())
    )
    return [_row_to_summary(row) for row in rows.order_by("name")]


def _row_to_summary(row: Deployment) -> DeploymentSummary:
    return DeploymentSummary(
        name=row.name,
        state=row.state,
        model=row.plan_request.model.slug,
        gateway_url=settings.MEDLEY_GATEWAY_URL,
        usd_per_hour=sum((machine.usd_per_hour for machine in row.machines.all()), Decimal(0)),
        shards=tuple(ShardSummary(id=shard.shard_id, state=shard.state, port=shard.port) for shard in row.shards.all()),
    )


def get_deployment_view(*, name: str, now: datetime) -> DeploymentView:
    """Return everything a page shows of one deployment.

    Raises:
        NotFoundError: there is no such deployment.
    """
    row = _get_row(name)
    request = row.plan_request
    plan = plan_selectors.find_plan(request_id=request.pk)
    return DeploymentView(
        name=row.name,
        state=row.state,
        state_label=row.get_state_display(),
        state_reason=row.state_reason,
        model=request.model.slug,
        model_name=request.model.name,
        gateway_url=settings.MEDLEY_GATEWAY_URL,
        plan_request_id=request.pk,
        plan_state=request.state,
        workload=request.workload.slug,
        created_at=row.created_at,
        updated_at=row.updated_at,
        has_background_traffic=row.has_background_traffic,
        plan=plan,
        prediction=plan.prediction if plan else None,
        slo=plan_mapping.row_to_slo(request),
        ledger=_build_ledger(row, now),
        machines=_list_machines(row, now),
        shards=_list_shards(row),
        keys=tuple(_row_to_key(key) for key in row.keys.order_by("pk")),
    )


def _get_row(name: str) -> Deployment:
    rows = Deployment.objects.select_related("plan_request__model", "plan_request__workload")
    row = rows.filter(name=name).first()
    if row is None:
        raise NotFoundError(f"there is no deployment {name}", field="name", remedy="see GET /api/v1/deployments")
    return row


def _build_ledger(row: Deployment, now: datetime) -> LedgerView:
    spending = ledger.get_spending(row, now=now)
    return LedgerView(
        committed_usd_per_hour=spending.committed_usd_per_hour,
        budget_usd_per_hour=row.budget_usd_per_hour,
        accrued_usd=spending.accrued_usd,
        spend_limit_usd=spending.limit_usd,
        is_soft_limit_reached=spending.is_soft_limit_reached,
        is_limit_reached=spending.is_limit_reached,
    )


def _list_machines(row: Deployment, now: datetime) -> tuple[MachineView, ...]:
    """Return the machines that are held, then the latest ones that are over."""
    held = list(row.machines.filter(state__in=states.HELD).order_by("pk"))
    over = list(row.machines.filter(state__in=states.OVER).order_by("-pk")[:_NUM_RELEASED_SHOWN])
    entries = {entry.machine_id: entry for entry in LedgerEntry.objects.filter(machine__in=[*held, *over])}
    return tuple(_row_to_machine(machine, entries, now) for machine in [*held, *over])


def _row_to_machine(machine: Machine, entries: Mapping[int, LedgerEntry], now: datetime) -> MachineView:
    entry = entries.get(machine.pk)
    accrued = (
        ledger.compute_accrued_usd(usd_per_hour=entry.usd_per_hour, since=entry.opened_at, until=entry.closed_at or now)
        if entry
        else Decimal(0)
    )
    return MachineView(
        id=define_machine_label(str(machine.token)),
        plan_machine_id=machine.plan_machine_id,
        provider=machine.provider,
        offer_id=machine.offer_id,
        state=machine.state,
        state_reason=machine.state_reason,
        provider_ref=machine.provider_ref,
        usd_per_hour=machine.usd_per_hour,
        accrued_usd=accrued.quantize(_USD_STEP, rounding=ROUND_UP),
        created_at=machine.created_at,
        ready_at=machine.ready_at,
        released_at=machine.released_at,
    )


def _list_shards(row: Deployment) -> tuple[ShardView, ...]:
    rows = _OPEN_SHARDS.filter(deployment=row).select_related("machine")
    return tuple(
        ShardView(
            id=shard.shard_id,
            replica_id=shard.replica_id,
            machine_id=define_machine_label(str(shard.machine.token)),
            state=shard.state,
            state_reason=shard.state_reason,
            port=shard.port,
            pid=shard.pid,
            num_restarts=shard.num_restarts,
            weights=dict(shard.weights),
            updated_at=shard.updated_at,
        )
        for shard in rows
    )


def _row_to_key(key: GatewayKey) -> GatewayKeyView:
    return GatewayKeyView(
        id=key.pk, name=key.name, prefix=key.prefix, created_at=key.created_at, revoked_at=key.revoked_at
    )


def find_running_plan(deployment_name: str) -> Plan | None:
    """Return the plan a deployment is being brought to or kept at; None when nothing is wanted of it."""
    row = Deployment.objects.select_related("plan_request").filter(name=deployment_name).first()
    if row is None or not wanting.is_wanted(row):
        return None
    return plan_selectors.find_plan(request_id=row.plan_request_id)


def list_reconcilable_ids() -> list[int]:
    """Return the deployments that want something, or hold something still."""
    wanted = Deployment.objects.exclude(state=DeploymentState.STOPPED).exclude(
        state=DeploymentState.FAILED, plan_request__state=PlanState.FAILED
    )
    holding = Deployment.objects.filter(machines__state__in=states.HELD)
    return sorted({*wanted.values_list("pk", flat=True), *holding.values_list("pk", flat=True)})


def read_local_serving() -> LocalServing:
    """Return how far vLLM is installed on this host."""
    path = settings.MEDLEY_HOME / "vllm-install.json"
    try:
        data = json.loads(path.read_text())
        return LocalServing(
            state=str(data["state"]),
            step=str(data["step"]),
            reason=str(data["reason"]),
            updated_at=datetime.fromisoformat(data["updated_at"]),
        )
    except FileNotFoundError:
        return LocalServing(state="absent", step="", reason="vLLM is not installed on this host", updated_at=None)
    except (json.JSONDecodeError, KeyError, ValueError) as error:
        return LocalServing(state="failed", step="", reason=f"{path} cannot be read: {error}", updated_at=None)


def read_shard_log(*, name: str, shard_id: str, tail: int = 200, access: Access = REAL_ACCESS) -> list[str]:
    """Return the latest lines a shard printed, oldest first, from its machine's agent.

    Raises:
        NotFoundError: the deployment has no such shard.
        InvalidInputError: `tail` is out of range.
        ConflictError: the machine has no agent now.
        UnavailableError: the agent does not answer.
    """
    if not 0 <= tail <= _MAX_TAIL_LINES:
        raise InvalidInputError("tail is out of range", field="tail", remedy=f"give 0 to {_MAX_TAIL_LINES}")
    rows = Shard.objects.select_related("machine__deployment").filter(deployment__name=name, shard_id=shard_id)
    shard = rows.first()
    if shard is None:
        raise NotFoundError(f"deployment {name} has no shard {shard_id}", field="shard_id")
    if not shard.machine.agent_url:
        raise ConflictError(f"the machine of shard {shard_id} is {shard.machine.get_state_display().lower()}")
    with access.connect(get_agent_access(shard.machine, url=shard.machine.agent_url)) as agent:
        return agent.get_log(shard_id, tail)
