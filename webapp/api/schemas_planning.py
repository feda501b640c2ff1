"""What the REST calls on models, workloads and plan requests take and give."""

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, JsonValue, StrictBool, StrictInt

from engine.domain.plan import PlannedReplica, PlannedStage, Prediction
from webapp.planning.models import PlanState, ServedModel
from webapp.planning.selectors import PlanView

_STORABLE = r"^[^\x00]*$"  # PostgreSQL keeps no zero byte

Slug = Annotated[str, Field(min_length=1, max_length=64, pattern=_STORABLE)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=_STORABLE)]
Words = Annotated[list[Slug], Field(max_length=100)]
Seconds = Annotated[float, Field(gt=0, le=86_400, strict=True)]


class ModelIn(Schema):
    """A model to plan with, as its Hugging Face `config.json`."""

    model_config = ConfigDict(extra="forbid")

    slug: Slug
    name: Name
    config: Annotated[dict[str, JsonValue], Field(min_length=1, max_length=1000)]


class ModelOut(Schema):
    """A model; `is_local` when its weights are on this host, and so no cloud can serve it."""

    slug: str
    name: str
    is_preset: bool
    is_local: bool
    created_at: datetime

    @staticmethod
    def resolve_is_local(obj: ServedModel) -> bool:
        """Return whether the weights are on this host."""
        return bool(obj.weights_path)


class WorkloadIn(Schema):
    """A trace in the Azure CSV format: TIMESTAMP, ContextTokens, GeneratedTokens."""

    model_config = ConfigDict(extra="forbid")

    slug: Slug
    name: Name
    csv_text: Annotated[str, Field(min_length=1, max_length=30_000_000)]
    num_classes: Annotated[StrictInt, Field(ge=1, le=32)] = 9


class RequestClassOut(Schema):
    """A representative request; `share` is its part of all requests."""

    id: str
    prompt_tokens: int
    output_tokens: int
    share: float


class WorkloadOut(Schema):
    """Request classes with a rate; `num_requests` is 0 for presets."""

    slug: str
    name: str
    source: str
    arrival: str
    requests_per_s: float
    num_requests: int
    is_preset: bool
    classes: list[RequestClassOut]
    created_at: datetime


class PlanRequestIn(Schema):
    """What the planner is asked for; money in USD per hour, latencies in seconds at `slo_percentile`."""

    model_config = ConfigDict(extra="forbid")

    deployment_name: Annotated[str, Field(min_length=1, max_length=48, pattern=_STORABLE)]
    objective: Literal["max_rate", "min_cost"]
    budget_usd_per_hour: Annotated[Decimal, Field(gt=0, le=1_000_000, max_digits=12, decimal_places=4)]
    model_slug: Slug
    workload_slug: Slug
    requests_per_s: Annotated[float, Field(gt=0, le=1e6, strict=True)] | None = None
    slo_ttft_s: Seconds | None = None
    slo_tpot_s: Seconds | None = None
    slo_e2e_s: Seconds | None = None
    slo_percentile: Annotated[float, Field(ge=50, le=100, strict=True)] = 90.0
    allowed_providers: Words = []
    allowed_regions: Words = []
    allows_spot: StrictBool = True
    default_available_count: Annotated[StrictInt, Field(ge=1, le=10_000)] = 8


class PlanRequestQuery(Schema):
    """Filters of the plan requests; what is left out asks for all."""

    model_config = ConfigDict(extra="forbid")

    state: PlanState | None = None
    deployment_name: str = Field("", max_length=48, pattern=_STORABLE)
    limit: int = Field(200, ge=1, le=1000)


class PlanRequestOut(Schema):
    """A plan request in a list; `usd_per_hour` is the cost of its plan."""

    id: int
    deployment_name: str
    author: str
    state: PlanState
    state_reason: str
    objective: str
    budget_usd_per_hour: float
    model_slug: str
    model_name: str
    workload_slug: str
    workload_name: str
    usd_per_hour: float | None
    created_at: datetime
    updated_at: datetime


class SloOut(Schema):
    """Bounds at a percentile; null leaves a quantity unbounded."""

    ttft_s: float | None
    tpot_s: float | None
    e2e_s: float | None
    percentile: float


class ProgressOut(Schema):
    """How far a solve is; `fraction` from 0 to 1."""

    phase: str
    fraction: float
    text: str


class MachineOut(Schema):
    """A machine to rent."""

    id: str
    offer_id: str
    usd_per_hour: float


class StageOut(Schema):
    """A tensor-parallel group of accelerators holding some layers, on one machine of the plan."""

    machine_id: str
    offer_id: str
    gpu_name: str
    tensor_parallel: int
    num_layers: int

    @staticmethod
    def resolve_offer_id(obj: PlannedStage) -> str:
        """Return the machine type."""
        return obj.stage.offer_id

    @staticmethod
    def resolve_gpu_name(obj: PlannedStage) -> str:
        """Return the accelerator type."""
        return obj.stage.gpu_name

    @staticmethod
    def resolve_tensor_parallel(obj: PlannedStage) -> int:
        """Return the accelerators in the group."""
        return obj.stage.tensor_parallel

    @staticmethod
    def resolve_num_layers(obj: PlannedStage) -> int:
        """Return the layers held."""
        return obj.stage.num_layers


class ReplicaOut(Schema):
    """A replica; `shares` is its part of every request class."""

    id: str
    model_id: str
    phase: str
    configuration_id: str
    tensor_parallel: int
    pipeline_parallel: int
    stages: list[StageOut]
    shares: dict[str, float]
    requests_per_s: float
    kv_tokens: int
    max_num_seqs: int
    max_num_batched_tokens: int
    engine_args: dict[str, str]

    @staticmethod
    def resolve_tensor_parallel(obj: PlannedReplica) -> int:
        """Return the accelerators of the first stage."""
        return obj.stages[0].stage.tensor_parallel

    @staticmethod
    def resolve_pipeline_parallel(obj: PlannedReplica) -> int:
        """Return the number of stages."""
        return len(obj.stages)


class PredictionOut(Schema):
    """What the plan will do; latencies in seconds, mean and at the SLO's percentile."""

    requests_per_s: float
    output_tokens_per_s: float
    ttft_s: float
    tpot_s: float
    ttft_slo_s: float
    tpot_slo_s: float
    usd_per_mtok: float | None
    error_band: float
    source: str

    @staticmethod
    def resolve_usd_per_mtok(obj: Prediction) -> float | None:
        """Return the cost of a million generated tokens; null when none is generated."""
        return obj.usd_per_mtok if math.isfinite(obj.usd_per_mtok) else None


class BaselineOut(Schema):
    """A restricted plan to compare with."""

    name: str
    detail: str
    requests_per_s: float
    usd_per_hour: float
    is_feasible: bool


class BindingOut(Schema):
    """A constraint that limits the objective, and what relaxing it brings."""

    row: str
    slack: float
    shadow_price: float
    unit: str
    step: float
    gain: float
    text: str


class ReasonOut(Schema):
    """One way to make an infeasible request feasible."""

    kind: str
    subject: str
    value: float
    text: str


class ReportOut(Schema):
    """The solver's proof."""

    status: str
    solver: str
    objective: float | None
    best_bound: float | None
    gap: float | None
    runtime_s: float
    binding: list[BindingOut]
    reasons: list[ReasonOut]
    dropped: dict[str, int]
    notes: list[str]


class PlanOut(Schema):
    """The planner's answer; machines and replicas are empty when nothing feasible was found."""

    objective: str
    model_ids: list[str]
    machines: list[MachineOut]
    replicas: list[ReplicaOut]
    usd_per_hour: float
    prediction: PredictionOut | None
    report: ReportOut
    baselines: list[BaselineOut]


class UsedOfferOut(Schema):
    """An offer as the plan was priced with it."""

    offer_id: str
    provider: str
    region: str
    zone: str
    instance_type: str
    gpu_name: str
    gpu_count: int
    market: str
    usd_per_hour: float
    available_count: int | None
    observed_at: datetime
    source: str


class CountChangeOut(Schema):
    """How many of one offer or configuration there are before and after."""

    id: str
    before: int
    after: int
    change: int


class FigureChangeOut(Schema):
    """A figure before and after; null where there is none."""

    before: float | None
    after: float | None
    change: float | None


class DifferenceOut(Schema):
    """The plan beside the one that runs."""

    machines: list[CountChangeOut]
    replicas: list[CountChangeOut]
    usd_per_hour: FigureChangeOut
    requests_per_s: FigureChangeOut
    output_tokens_per_s: FigureChangeOut
    is_same_fleet: bool


class DecisionOut(Schema):
    """A decision; by a person or by a policy, the other is empty."""

    verdict: str
    decided_by: str
    policy: str
    comment: str
    decided_at: datetime


class PlanRequestDetailOut(PlanRequestOut):
    """Everything about one plan request; `requests_per_s` is the rate that was asked for."""

    requests_per_s: float
    classes: list[RequestClassOut]
    slo: SloOut
    allowed_providers: list[str]
    allowed_regions: list[str]
    allows_spot: bool
    default_available_count: int
    progress: ProgressOut | None
    market_as_of: datetime | None
    plan_id: int | None
    plan: PlanOut | None
    is_plan_current: bool
    offers: list[UsedOfferOut]
    difference: DifferenceOut | None
    decision: DecisionOut | None
    can_solve: bool


def view_to_fields(view: PlanView) -> Mapping[str, object]:
    """Return the fields of `PlanRequestDetailOut` that a plan view holds: all but the decision."""
    summary = {name: getattr(view.summary, name) for name in PlanRequestOut.model_fields}
    names = ("slo", "allowed_providers", "allowed_regions", "allows_spot", "default_available_count", "progress")
    more = ("market_as_of", "plan_id", "plan", "is_plan_current", "difference", "can_solve")
    return {
        **summary,
        **{name: getattr(view, name) for name in (*names, *more)},
        "requests_per_s": view.workload.requests_per_s,
        "classes": view.workload.classes,
        "offers": list(view.offers.values()),
    }
