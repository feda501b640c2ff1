"""What a plan looks like on its page: tables, bars and sentences, made from engine values. Pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.domain.plan import Baseline, Objective, Plan, PlannedReplica, SolverReport, SolveStatus
from webapp.dashboard.figures import format_figure, format_usd
from webapp.planning.selectors import PlanView, UsedOffer

_STATUS_TEXTS: Final[Mapping[SolveStatus, str]] = {
    SolveStatus.OPTIMAL: "Proven: no plan over these offers is better, within the gap.",
    SolveStatus.FEASIBLE: "A limit was reached: the best plan found. The bound says how much better one could be.",
    SolveStatus.INFEASIBLE: "No plan can do what was asked.",
    SolveStatus.NO_SOLUTION: "A limit was reached before a plan was found.",
    SolveStatus.INVALID: "The request could not be turned into a problem to solve.",
}
_NO_GAP: Final = 1e-9
_SAME_PERCENT: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """Machines of one offer."""

    count: int
    offer_id: str
    offer: UsedOffer | None
    usd_per_hour: float

    @property
    def total_usd_per_hour(self) -> float:
        """Price of all of them [USD/h]."""
        return self.count * self.usd_per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """Part of a replica on one machine."""

    machine_id: str
    gpu_name: str
    tensor_parallel: int
    num_layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareCell:
    """Part of a class that one replica serves; `share` and `heat` are 0..1, `heat` against the largest share."""

    class_id: str
    share: float
    heat: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRow:
    """Replicas that are alike: same configuration, same shares of every class, in the order of the workload.

    Attributes:
        replica: the first of them; what is said holds for each.
        ids: all of them.
    """

    replica: PlannedReplica
    ids: tuple[str, ...]
    stages: tuple[StageRow, ...]
    cells: tuple[ShareCell, ...]

    @property
    def name(self) -> str:
        """First and last id."""
        return self.ids[0] if len(self.ids) == 1 else f"{self.ids[0]} – {self.ids[-1]}"

    @property
    def tensor_parallel(self) -> int:
        """Accelerators of the first stage."""
        return self.stages[0].tensor_parallel

    @property
    def pipeline_parallel(self) -> int:
        """Stages."""
        return len(self.stages)

    @property
    def layers(self) -> str:
        """Layers per stage."""
        return " + ".join(str(stage.num_layers) for stage in self.stages)

    @property
    def gpu_names(self) -> str:
        """Accelerators of the stages, each word once."""
        return " + ".join(dict.fromkeys(stage.gpu_name for stage in self.stages))


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One compared plan; `length` is its part of the longest bar (0..1)."""

    name: str
    detail: str
    value: str
    change: str
    length: float
    is_own: bool
    is_feasible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRow:
    """One figure of the solver's proof."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPage:
    """The parts of the page that show the plan."""

    machines: tuple[MachineRow, ...]
    replicas: tuple[ReplicaRow, ...]
    bars: tuple[BarRow, ...]
    bar_unit: str
    status_text: str
    proof: tuple[ProofRow, ...]
    usd_per_mtok: float | None
    has_pipeline: bool


def build_page(view: PlanView) -> PlanPage | None:
    """Return what to show of the plan of a request; None when it has none."""
    plan = view.plan
    if plan is None:
        return None
    replicas = _list_replicas(plan, view)
    return PlanPage(
        machines=_list_machines(plan, view.offers),
        replicas=replicas,
        bars=_list_bars(plan),
        bar_unit="requests/s" if plan.objective is Objective.MAX_RATE else "USD per hour",
        status_text=_STATUS_TEXTS[plan.report.status],
        proof=_list_proof(plan.report, plan.objective),
        usd_per_mtok=_find_usd_per_mtok(plan),
        has_pipeline=any(row.pipeline_parallel > 1 for row in replicas),
    )


def _list_machines(plan: Plan, offers: Mapping[str, UsedOffer]) -> tuple[MachineRow, ...]:
    prices = {machine.offer_id: machine.usd_per_hour for machine in plan.machines}
    counts = Counter(machine.offer_id for machine in plan.machines)
    rows = [
        MachineRow(count=count, offer_id=offer_id, offer=offers.get(offer_id), usd_per_hour=prices[offer_id])
        for offer_id, count in counts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.total_usd_per_hour, row.offer_id)))


def _list_replicas(plan: Plan, view: PlanView) -> tuple[ReplicaRow, ...]:
    groups: dict[tuple[object, ...], list[PlannedReplica]] = {}
    for replica in plan.replicas:
        shares = tuple(f"{replica.shares.get(item.id, 0.0):.6f}" for item in view.workload.classes)
        groups.setdefault((replica.configuration_id, shares), []).append(replica)
    largest = max((share for replica in plan.replicas for share in replica.shares.values()), default=0.0)
    return tuple(_build_replica(group, view, largest) for group in groups.values())


def _build_replica(group: Sequence[PlannedReplica], view: PlanView, largest: float) -> ReplicaRow:
    replica = group[0]
    stages = tuple(
        StageRow(
            machine_id=placed.machine_id,
            gpu_name=placed.stage.gpu_name,
            tensor_parallel=placed.stage.tensor_parallel,
            num_layers=placed.stage.num_layers,
        )
        for placed in replica.stages
    )
    shares = {item.id: replica.shares.get(item.id, 0.0) for item in view.workload.classes}
    cells = tuple(
        ShareCell(class_id=class_id, share=share, heat=share / largest if largest else 0.0)
        for class_id, share in shares.items()
    )
    return ReplicaRow(replica=replica, ids=tuple(item.id for item in group), stages=stages, cells=cells)


def _list_bars(plan: Plan) -> tuple[BarRow, ...]:
    """Return the plan and what simpler plans would do, in the unit of the objective."""
    if plan.prediction is None:
        return ()
    is_rate = plan.objective is Objective.MAX_RATE
    own = plan.prediction.requests_per_s if is_rate else plan.usd_per_hour
    values = {item.name: item.requests_per_s if is_rate else item.usd_per_hour for item in plan.baselines}
    longest = max([own, *(values[item.name] for item in plan.baselines if item.is_feasible)], default=0.0)
    first = BarRow(
        name="This plan",
        detail="",
        value=_format_objective(own, plan.objective),
        change="",
        length=own / longest if longest else 0.0,
        is_own=True,
        is_feasible=True,
    )
    return (first, *(_build_bar(item, values[item.name], own, longest, plan.objective) for item in plan.baselines))


def _build_bar(item: Baseline, value: float, own: float, longest: float, objective: Objective) -> BarRow:
    change = (value - own) / own * 100 if item.is_feasible and own else 0.0
    return BarRow(
        name=f"{item.name[:1].upper()}{item.name[1:]}",
        detail=item.detail,
        value=_format_objective(value, objective) if item.is_feasible else "cannot",
        change=_format_change(change) if item.is_feasible else "",
        length=value / longest if item.is_feasible and longest else 0.0,
        is_own=False,
        is_feasible=item.is_feasible,
    )


def _format_change(percent: float) -> str:
    if abs(percent) < _SAME_PERCENT:
        return "same"
    text = f"{percent:+.1f} %" if abs(percent) < 10 else f"{percent:+.0f} %"
    return text.replace("-", "−")


def _list_proof(report: SolverReport, objective: Objective) -> tuple[ProofRow, ...]:
    rows = [ProofRow(name="Solver", value=report.solver)]
    if report.objective is not None:
        rows.append(ProofRow(name="Objective", value=_format_objective(report.objective, objective)))
    if report.best_bound is not None:
        rows.append(ProofRow(name="Best bound", value=_format_objective(report.best_bound, objective)))
    if report.gap is not None:
        rows.append(ProofRow(name="Gap", value=_format_gap(report.gap)))
    rows.append(ProofRow(name="Runtime", value=f"{report.runtime_s:.2f} s"))
    return tuple(rows)


def _format_objective(value: float, objective: Objective) -> str:
    if objective is Objective.MAX_RATE:
        return f"{format_figure(value)} requests/s"
    return f"{format_usd(value)} per hour"


def _format_gap(gap: float) -> str:
    return "0 %" if gap < _NO_GAP else f"{gap * 100:.2g} %"


def _find_usd_per_mtok(plan: Plan) -> float | None:
    if plan.prediction is None or not math.isfinite(plan.prediction.usd_per_mtok):
        return None
    return plan.prediction.usd_per_mtok
