"""Answers to instance files: one JSON object per instance, as `medley solve` prints it.

Source: specification of the rental planner, section 8.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from engine.domain.plan import BindingRow, InfeasibleReason, Objective, SolveStatus
from engine.errors import EngineError
from engine.planners.rental.binding import find_binding_rows
from engine.planners.rental.infeasible import list_infeasible_reasons
from engine.planners.rental.instance import (
    DEFAULT_MODEL,
    Assignment,
    InstanceClass,
    InstanceConfiguration,
    RentalInstance,
    Solution,
)
from engine.planners.rental.instance_parser import InvalidInstanceError, parse_instance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.solve import solve_instance
from engine.planners.rental.solver import Stopwatch

EXIT_CODES: Final[Mapping[SolveStatus, int]] = {
    SolveStatus.OPTIMAL: 0,
    SolveStatus.FEASIBLE: 0,
    SolveStatus.INFEASIBLE: 1,
    SolveStatus.INVALID: 2,
    SolveStatus.NO_SOLUTION: 3,
}


def solve_instance_file(data: object, clock: Callable[[], float]) -> dict[str, object]:
    """Return the answer to an instance file's JSON data; `invalid` is an answer, too."""
    try:
        parsed = parse_instance(data)
    except InvalidInstanceError as error:
        name = data.get("name", "") if isinstance(data, dict) else ""
        return answer_invalid(name if isinstance(name, str) else "", error)
    solution = solve_and_explain(parsed.instance, parsed.options, clock=clock)
    return answer_to_json(parsed.instance, solution)


def get_exit_code(answer: Mapping[str, object]) -> int:
    """Return the exit status that goes with an answer."""
    return EXIT_CODES[SolveStatus(str(answer["status"]))]


def solve_and_explain(instance: RentalInstance, options: SolveOptions, *, clock: Callable[[], float]) -> Solution:
    """Return the solution with its binding rows, or with the reasons why there is none."""
    watch = Stopwatch(clock=clock, limit_s=options.time_limit_s)
    solution = solve_instance(instance, options, clock=clock, stopwatch=watch)
    if solution.status is SolveStatus.INFEASIBLE:
        reasons = list_infeasible_reasons(instance, options, watch=watch)
        return replace(solution, reasons=reasons, runtime_s=watch.elapsed_s)
    if solution.assignment is None:
        return solution
    found = find_binding_rows(instance, options, solution, watch=watch.split(options.explain_limit_s))
    notes = (*solution.notes, *found.notes)
    return replace(solution, binding=found.rows, notes=notes, runtime_s=watch.elapsed_s)


def answer_to_json(instance: RentalInstance, solution: Solution) -> dict[str, object]:
    """Return the answer object of a solved instance."""
    assignment = solution.assignment
    is_rate = instance.objective is Objective.MAX_RATE
    rate = solution.objective if is_rate else None
    return {
        "name": instance.name,
        "status": solution.status.value,
        "objective": instance.objective.value,
        "makespan_s": 1.0 / rate if rate else None,
        "rate_sets_per_s": rate,
        "usd_per_hour": assignment.usd_per_hour if assignment else None,
        "copies": dict(assignment.copies) if assignment else {},
        "x": {key: dict(part) for key, part in assignment.shares.items()} if assignment else {},
        "spend": _sum_spend(instance, assignment) if assignment else None,
        "best_bound": solution.best_bound,
        "mip_gap": solution.gap,
        "runtime_s": solution.runtime_s,
        "method": "direct",
        "binding": [_binding_to_json(row) for row in solution.binding],
        "reasons": [_reason_to_json(reason) for reason in solution.reasons],
        "notes": list(solution.notes),
    }


def answer_invalid(name: str, error: EngineError) -> dict[str, object]:
    """Return the answer to an instance that was refused; nothing was solved."""
    return {
        "name": name,
        "status": SolveStatus.INVALID.value,
        "error": {"code": error.code, "message": error.message, **error.data},
    }


def _sum_spend(instance: RentalInstance, assignment: Assignment) -> dict[str, object]:
    by_model: dict[str, float] = {}
    by_configuration: dict[str, float] = {}
    for item in instance.configurations:
        count = assignment.copies.get(item.id, 0)
        if count:
            cost = count * item.usd_per_hour
            by_configuration[item.id] = cost
            by_model[item.model_id] = by_model.get(item.model_id, 0.0) + cost
    return {"usd_per_hour": assignment.usd_per_hour, "by_model": by_model, "by_configuration": by_configuration}


def _binding_to_json(row: BindingRow) -> dict[str, object]:
    return {
        "row": row.row,
        "slack": row.slack,
        "shadow_price": row.shadow_price,
        "unit": row.unit,
        "step": row.step,
        "gain": row.gain,
    }


def _reason_to_json(reason: InfeasibleReason) -> dict[str, object]:
    return {"kind": reason.kind, "subject": reason.subject, "value": reason.value, "text": reason.text}


def instance_to_json(instance: RentalInstance, options: SolveOptions) -> dict[str, object]:
    """Return the instance file of an instance; `parse_instance` reads it back."""
    data: dict[str, object] = {"name": instance.name, "objective": instance.objective.value}
    if instance.budget_usd_per_hour is not None:
        data["budget_usd_per_hour"] = instance.budget_usd_per_hour
    return data | {
        "availability": dict(instance.availability),
        "classes": [_class_to_json(item) for item in instance.classes],
        "configurations": [_configuration_to_json(item) for item in instance.configurations],
        "options": {
            "mip_gap": options.mip_gap,
            "time_limit_s": options.time_limit_s,
            "threads": options.threads,
            "method": "direct",
            "tie_break": options.tie_break,
            "max_load": options.max_load,
            "spot_mode": "cap",
            "spot_max_share": options.spot_max_share,
        },
    }


def _class_to_json(item: InstanceClass) -> dict[str, object]:
    data: dict[str, object] = {"id": item.id, "demand": item.demand}
    return data if item.model_id == DEFAULT_MODEL else {**data, "model": item.model_id}


def _configuration_to_json(item: InstanceConfiguration) -> dict[str, object]:
    data: dict[str, object] = {
        "id": item.id,
        "usd_per_hour": item.usd_per_hour,
        "gpus": dict(item.units),
        "requests_per_s": dict(item.requests_per_s),
    }
    if item.model_id != DEFAULT_MODEL:
        data["model"] = item.model_id
    if item.is_spot:
        data["spot"] = True
    if item.zone:
        data["zone"] = item.zone
    if item.max_copies is not None:
        data["max_copies"] = item.max_copies
    return data
