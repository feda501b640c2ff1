"""Plans: machines to rent, replicas on them, who serves what, and why this is a good answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.configuration import Phase, Stage


class Objective(StrEnum):
    """The two questions of the rental planner."""

    MAX_RATE = "max_rate"
    MIN_COST = "min_cost"


class SolveStatus(StrEnum):
    """How a solve ended; a limit reached is never `optimal`."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    NO_SOLUTION = "no_solution"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingRow:
    """A constraint that limits the objective, and what relaxing it brings.

    Attributes:
        row: `budget` or `availability:<offer id>`.
        shadow_price: objective per unit, from the LP relaxation.
        unit: unit of the shadow price.
        step: relaxation tried; gain: improvement of the re-solved objective.
        text: the sentence for people.
    """

    row: str
    slack: float
    shadow_price: float
    unit: str
    step: float
    gain: float
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfeasibleReason:
    """One way to make an infeasible request feasible, with its number.

    Attributes:
        kind: `budget`, `slo`, `stock`, `demand_share` or `class`.
        subject: offer id, class id or empty.
        value: smallest budget [USD/h], loosest SLO factor, missing machines, or servable share.
        text: the sentence for people.
    """

    kind: str
    subject: str
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverReport:
    """Proof that comes with every plan.

    Attributes:
        objective, best_bound: sets/s or requests/s for `max_rate`, USD/h for `min_cost`; None without a plan.
        gap: relative MIP gap, None without a plan.
        runtime_s: wall time of all solves [s].
    """

    status: SolveStatus
    solver: str
    objective: float | None
    best_bound: float | None
    gap: float | None
    runtime_s: float
    binding: tuple[BindingRow, ...] = ()
    reasons: tuple[InfeasibleReason, ...] = ()
    dropped: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMachine:
    """One machine to rent; `id` is stable inside the plan (`m1`, `m2`, ...)."""

    id: str
    offer_id: str
    usd_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """A stage of a replica placed on a machine of the plan."""

    machine_id: str
    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedReplica:
    """One replica; `id` is stable inside the plan (`r1`, `r2`, ...).

    Attributes:
        shares: class id -> part (0..1) of that class's traffic this replica serves.
        requests_per_s: planned load [requests/s].
        engine_args: vLLM arguments without dashes -> value.
    """

    id: str
    model_id: str
    phase: Phase
    configuration_id: str
    stages: tuple[PlannedStage, ...]
    shares: Mapping[str, float]
    requests_per_s: float
    kv_tokens: int
    max_num_seqs: int
    max_num_batched_tokens: int
    engine_args: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the plan will do, closed form.

    Attributes:
        requests_per_s: largest rate the plan carries at the SLO (`max_rate`) or the demand (`min_cost`).
        output_tokens_per_s: generated tokens at that rate.
        ttft_s, tpot_s: mean over requests [s]; ttft_slo_s, tpot_slo_s: at the SLO's percentile [s].
        usd_per_mtok: USD per million generated tokens at that rate.
        error_band: relative half-width (90 %); source: profile id or `prior`.
    """

    requests_per_s: float
    output_tokens_per_s: float
    ttft_s: float
    tpot_s: float
    ttft_slo_s: float
    tpot_slo_s: float
    usd_per_mtok: float
    error_band: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A restricted plan to compare with, e.g. the best single GPU type."""

    name: str
    detail: str
    requests_per_s: float
    usd_per_hour: float
    is_feasible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The planner's answer; `machines` and `replicas` are empty when nothing feasible was found."""

    objective: Objective
    model_ids: tuple[str, ...]
    machines: tuple[PlannedMachine, ...]
    replicas: tuple[PlannedReplica, ...]
    usd_per_hour: float
    prediction: Prediction | None
    report: SolverReport
    baselines: tuple[Baseline, ...]
