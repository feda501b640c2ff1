"""The rental planner: from a request to a plan with its proof.

    offers x models -> configurations -> instance -> MILP -> assignment -> machines, replicas, prediction

Source: specification of the rental planner.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from engine.domain.plan import (
    Baseline,
    InfeasibleReason,
    Objective,
    Plan,
    Prediction,
    SolverReport,
    SolveStatus,
)
from engine.planners.rental.binding import find_binding_rows
from engine.planners.rental.comparison import list_baselines
from engine.planners.rental.enumeration import (
    Enumeration,
    ShapeCatalogue,
    create_catalogue,
    enumerate_configurations,
)
from engine.planners.rental.infeasible import list_infeasible_reasons, list_unservable_classes
from engine.planners.rental.instance import Assignment, RentalInstance, Solution
from engine.planners.rental.instance_builder import build_instance
from engine.planners.rental.instance_file import instance_to_json
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.plan_builder import PlannedFleet, build_fleet, define_traffic, predict
from engine.planners.rental.reduce import Reduction, reduce_instance
from engine.planners.rental.request import RentalAnswer, RentalRequest, check_request
from engine.planners.rental.slo_search import find_slo_reason
from engine.planners.rental.solve import has_spot_cap, solve_instance
from engine.planners.rental.solver import SOLVER_NAME, Stopwatch
from engine.planners.rental.unserved import explain_unserved
from engine.planners.rental.wording import describe_row, list_assumptions

# Parts of the progress bar; the solve's length is not known beforehand.
_ENUMERATE_PART: Final = 0.4
_SOLVE_AT: Final = 0.45
_SOLVE_SHARE: Final = 0.75  # of the time limit; the rest is for comparing and explaining
_COMPARE_AT: Final = 0.75
_EXPLAIN_AT: Final = 0.85


@dataclass(slots=True, kw_only=True)
class _Job:
    """One request on its way to an answer."""

    request: RentalRequest
    clock: Callable[[], float]
    on_progress: Callable[[str, float], None]
    watch: Stopwatch
    catalogue: ShapeCatalogue

    @property
    def options(self) -> SolveOptions:
        """Options of every solve."""
        return self.request.options.to_solve_options()


def plan_rental(
    request: RentalRequest, *, clock: Callable[[], float], on_progress: Callable[[str, float], None]
) -> RentalAnswer:
    """Return the best plan for `request`; infeasible is a plan with reasons, too.

    Args:
        request: offers, demands, SLO, budget, options.
        clock: monotonic seconds; nothing else tells the planner the time.
        on_progress: told the step's name and the part (0..1) done.
    Raises:
        InvalidRentalRequestError: the request cannot be planned as it stands.
        SolverFailureError: the solver broke down.
        PlanMismatchError: the solver's plan does not hold in plain arithmetic.
    """
    check_request(request)
    watch = Stopwatch(clock=clock, limit_s=request.options.time_limit_s)
    job = _Job(request=request, clock=clock, on_progress=on_progress, watch=watch, catalogue=create_catalogue(request))
    enumeration = enumerate_configurations(
        request, job.catalogue, on_progress=lambda part: on_progress("enumerate", _ENUMERATE_PART * part)
    )
    instance = build_instance(request, enumeration.configurations)
    reduction = reduce_instance(instance, has_spot_cap=has_spot_cap(instance, job.options))
    on_progress("solve", _SOLVE_AT)
    solve_limit_s = _SOLVE_SHARE * request.options.time_limit_s
    solution = solve_instance(reduction.instance, job.options, clock=clock, stopwatch=watch.split(solve_limit_s))
    on_progress("compare", _COMPARE_AT)
    baselines = _compare(job, instance, solution)
    on_progress("explain", _EXPLAIN_AT)
    solution = _explain(job, instance, solution)
    plan = _build_plan(job, enumeration, reduction, solution, baselines)
    on_progress("done", 1.0)
    kept = instance if solution.assignment is None else reduction.instance
    return RentalAnswer(plan=plan, instance=instance_to_json(kept, job.options))


def _explain(job: _Job, instance: RentalInstance, solution: Solution) -> Solution:
    """Return the solution with binding rows, or with reasons why there is none."""
    if solution.status is SolveStatus.INFEASIBLE:
        return replace(solution, reasons=_list_reasons(job, instance))
    if solution.assignment is None:
        return solution
    watch = job.watch.split(job.options.explain_limit_s)
    found = find_binding_rows(instance, job.options, solution, watch=watch)
    value = solution.objective or 0.0
    rows = tuple(describe_row(row, objective=job.request.objective, value=value) for row in found.rows)
    return replace(solution, binding=rows, notes=(*solution.notes, *found.notes))


def _list_reasons(job: _Job, instance: RentalInstance) -> tuple[InfeasibleReason, ...]:
    reasons = list_infeasible_reasons(instance, job.options, watch=job.watch)
    unserved = list_unservable_classes(instance)
    slo_reason = find_slo_reason(job.request, job.catalogue, watch=job.watch)
    return (
        *explain_unserved(job.request, job.catalogue, unserved),
        *(reason for reason in reasons if reason.kind != "class" or reason.subject not in unserved),
        *([] if slo_reason is None else [slo_reason]),
    )


def _compare(job: _Job, instance: RentalInstance, solution: Solution) -> tuple[Baseline, ...]:
    return list_baselines(
        instance,
        job.options,
        solution.assignment,
        {offer.id: offer.gpu_name for offer in job.request.offers},
        clock=job.clock,
        watch=job.watch.split(job.options.compare_limit_s),
    )


def _build_plan(
    job: _Job,
    enumeration: Enumeration,
    reduction: Reduction,
    solution: Solution,
    baselines: tuple[Baseline, ...],
) -> Plan:
    assignment = solution.assignment
    fleet, prediction = _place(job, enumeration, assignment)
    return Plan(
        objective=job.request.objective,
        model_ids=tuple(demand.model.id for demand in job.request.demands),
        machines=fleet.machines,
        replicas=fleet.replicas,
        usd_per_hour=0.0 if assignment is None else assignment.usd_per_hour,
        prediction=prediction,
        report=SolverReport(
            status=solution.status,
            solver=SOLVER_NAME,
            objective=solution.objective,
            best_bound=solution.best_bound,
            gap=solution.gap,
            runtime_s=job.watch.elapsed_s,
            binding=solution.binding,
            reasons=solution.reasons,
            dropped={**enumeration.dropped, **reduction.dropped},
            notes=(*solution.notes, *list_assumptions(job.request, fleet.machines)),
        ),
        baselines=baselines,
    )


def _place(
    job: _Job, enumeration: Enumeration, assignment: Assignment | None
) -> tuple[PlannedFleet, Prediction | None]:
    if assignment is None:
        return PlannedFleet(machines=(), replicas=()), None
    is_rate = job.request.objective is Objective.MAX_RATE
    traffic = define_traffic(job.request, assignment.rate if is_rate else 1.0)
    ordered = sorted(enumeration.configurations, key=lambda item: (item.usd_per_hour, item.num_gpus, item.id))
    fleet = build_fleet(job.request, ordered, assignment, traffic)
    return fleet, predict(job.request, ordered, assignment, traffic, job.catalogue)
