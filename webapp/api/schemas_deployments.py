"""What the REST calls on deployments take and give."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from ninja import Schema
from pydantic import ConfigDict, Field


class ShardOut(Schema):
    """A shard in one line; `ready` means that it answers requests."""

    id: str
    state: str
    port: int | None


class DeploymentOut(Schema):
    """A deployment in one line."""

    name: str
    state: str
    model: str
    gateway_url: str
    usd_per_hour: float
    shards: list[ShardOut]


class MachineDetailOut(Schema):
    """A machine with its money [USD/h, USD]."""

    id: str
    plan_machine_id: str
    provider: str
    offer_id: str
    state: str
    state_reason: str
    usd_per_hour: float
    accrued_usd: float
    created_at: datetime
    ready_at: datetime | None
    released_at: datetime | None


class ShardDetailOut(Schema):
    """A shard as its agent reported it last; weights: class id -> share."""

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


class LedgerOut(Schema):
    """Money of a deployment [USD/h, USD]."""

    committed_usd_per_hour: float
    budget_usd_per_hour: float
    accrued_usd: float
    spend_limit_usd: float | None
    is_soft_limit_reached: bool
    is_limit_reached: bool


class SloOut(Schema):
    """Bounds [s] at a percentile; null leaves a quantity unbounded."""

    ttft_s: float | None
    tpot_s: float | None
    e2e_s: float | None
    percentile: float


class PredictionOut(Schema):
    """What the plan says the deployment will do."""

    requests_per_s: float
    output_tokens_per_s: float
    ttft_s: float
    tpot_s: float
    ttft_slo_s: float
    tpot_slo_s: float
    usd_per_mtok: float
    error_band: float
    source: str


class KeyOut(Schema):
    """A client's key; the key itself is shown once, when it is made."""

    id: int
    name: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None


class DeploymentDetailOut(Schema):
    """Everything of one deployment."""

    name: str
    state: str
    state_reason: str
    model: str
    gateway_url: str
    plan_request_id: int
    plan_state: str
    workload: str
    created_at: datetime
    updated_at: datetime
    has_background_traffic: bool
    slo: SloOut
    prediction: PredictionOut | None
    ledger: LedgerOut
    machines: list[MachineDetailOut]
    shards: list[ShardDetailOut]
    keys: list[KeyOut]


class StateOut(Schema):
    """State of a deployment after a call."""

    name: str
    state: str
    state_reason: str


class KeyIn(Schema):
    """Who uses the key."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=64)]


class NewKeyOut(Schema):
    """A new key in plain text; it cannot be shown again."""

    id: int
    key: str


class TrafficIn(Schema):
    """Whether the replay of a trace shall run."""

    model_config = ConfigDict(extra="forbid")

    is_on: bool


class TrafficOut(Schema):
    """Whether the replay of a trace runs."""

    is_on: bool


class SpendLimitIn(Schema):
    """Hard limit in all [USD]; null lifts it."""

    model_config = ConfigDict(extra="forbid")

    spend_limit_usd: Annotated[Decimal, Field(gt=0, le=10_000_000, max_digits=12, decimal_places=4)] | None


class SpendLimitOut(Schema):
    """Hard limit in all [USD]."""

    spend_limit_usd: float | None


class LogOut(Schema):
    """Latest lines of a shard's log, oldest first."""

    shard_id: str
    lines: list[str]
