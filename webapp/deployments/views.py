"""What pages and REST show of deployments: frozen values, made by `selectors`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.domain.plan import Plan, Prediction
from engine.domain.slo import Slo


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSummary:
    """A shard in one line; `ready` means that it answers requests."""

    id: str
    state: str
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSummary:
    """A deployment in one line.

    Attributes:
        model: name clients send as `model`.
        gateway_url: where clients connect, without `/v1`.
        usd_per_hour: prices of all machines held [USD/h].
    """

    name: str
    state: str
    model: str
    gateway_url: str
    usd_per_hour: Decimal
    shards: tuple[ShardSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """A machine with its money.

    Attributes:
        id: short label; it ends the ids of the machine's shards.
        plan_machine_id: `m1` of the plan; empty when no plan wants it any more.
        accrued_usd: what it cost so far [USD].
    """

    id: str
    plan_machine_id: str
    provider: str
    offer_id: str
    state: str
    state_reason: str
    provider_ref: str
    usd_per_hour: Decimal
    accrued_usd: Decimal
    created_at: datetime
    ready_at: datetime | None
    released_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardView:
    """A shard as its agent reported it last.

    Attributes:
        weights: class id -> share of that class (0..1).
    """

    id: str
    replica_id: str
    machine_id: str
    state: str
    state_reason: str
    port: int | None
    pid: int | None
    num_restarts: int
    weights: dict[str, float]
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """Money of one deployment.

    Attributes:
        committed_usd_per_hour: prices of all machines held [USD/h]; never above the budget.
        accrued_usd: spent so far, all machines ever [USD].
        spend_limit_usd: hard limit in all [USD]; None is no limit.
        is_soft_limit_reached: whether 80 % of the limit are spent.
    """

    committed_usd_per_hour: Decimal
    budget_usd_per_hour: Decimal
    accrued_usd: Decimal
    spend_limit_usd: Decimal | None
    is_soft_limit_reached: bool
    is_limit_reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayKeyView:
    """A client's key; `prefix` tells keys apart, the key itself is not kept."""

    id: int
    name: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """Everything a page shows of one deployment.

    Attributes:
        plan: the engine's plan that is made or kept true; None when it cannot be read.
        machines: held ones, and the latest that were released.
        shards: all that are not stopped.
    """

    name: str
    state: str
    state_label: str
    state_reason: str
    model: str
    model_name: str
    gateway_url: str
    plan_request_id: int
    plan_state: str
    workload: str
    created_at: datetime
    updated_at: datetime
    has_background_traffic: bool
    plan: Plan | None
    prediction: Prediction | None
    slo: Slo
    ledger: LedgerView
    machines: tuple[MachineView, ...]
    shards: tuple[ShardView, ...]
    keys: tuple[GatewayKeyView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServing:
    """Whether this host can serve.

    Attributes:
        state: `absent`, `installing`, `ready` or `failed`.
        step: what the install does or did last.
        reason: why it failed, in words.
    """

    state: str
    step: str
    reason: str
    updated_at: datetime | None
