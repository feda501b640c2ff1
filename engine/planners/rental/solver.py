"""Running a built rental model with HiGHS through MathOpt."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from ortools.math_opt.python import mathopt
from ortools.math_opt.solvers import highs_pb2

from engine.errors import EngineError
from engine.planners.rental.model import RentalModel
from engine.planners.rental.options import SolveOptions

SOLVER_NAME: Final = "HiGHS"
# Well below the gaps asked for, which a looser tolerance would blur; plans are checked again to 1e-6 outside.
_TOLERANCE: Final = 1e-9


class SolverFailureError(EngineError):
    """The solver ended in a way that is neither an answer nor a limit."""

    code = "solver_failure"


class OutcomeKind(StrEnum):
    """How one solver run ended."""

    OPTIMAL = "optimal"
    LIMIT_WITH_PLAN = "limit_with_plan"
    LIMIT_WITHOUT_PLAN = "limit_without_plan"
    INFEASIBLE = "infeasible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run found, in the model's own (scaled) units.

    Attributes:
        copies: configuration id -> copies, as the solver has them.
        time: (configuration id, class id) -> copies' time spent, unscaled [copies].
        rate: r, unscaled.
        objective, bound: of the minimised or maximised expression.
        duals: row name -> dual value; only of a relaxation solved to optimality.
    """

    kind: OutcomeKind
    copies: Mapping[str, float]
    time: Mapping[tuple[str, str], float]
    rate: float
    objective: float
    bound: float
    duals: Mapping[str, float]
    missing: Mapping[str, float]

    @property
    def has_plan(self) -> bool:
        """Whether values were found, proven best or not."""
        return self.kind in (OutcomeKind.OPTIMAL, OutcomeKind.LIMIT_WITH_PLAN)


class Stopwatch:
    """Time left of one plan's limit."""

    def __init__(self, *, clock: Callable[[], float], limit_s: float) -> None:
        self._clock = clock
        self._started_s = clock()
        self._limit_s = limit_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started_s

    @property
    def left_s(self) -> float:
        """Seconds until the limit, never negative."""
        return max(0.0, self._limit_s - self.elapsed_s)

    def split(self, limit_s: float) -> "Stopwatch":
        """Return a stopwatch for a part of the work: its own limit, never beyond this one's."""
        return Stopwatch(clock=self._clock, limit_s=min(limit_s, self.left_s))


def run_model(rental: RentalModel, options: SolveOptions, *, time_limit_s: float) -> Outcome:
    """Solve a model that has its objective.

    Raises:
        SolverFailureError: numerical trouble, an unbounded model, or a refused option.
    """
    if time_limit_s <= 0.0:
        return _no_plan(OutcomeKind.LIMIT_WITHOUT_PLAN)
    result = _solve(rental, options, time_limit_s=time_limit_s, has_presolve=True)
    if result.termination.reason is mathopt.TerminationReason.INFEASIBLE_OR_UNBOUNDED:
        left_s = max(0.0, time_limit_s - result.solve_time().total_seconds())
        result = _solve(rental, options, time_limit_s=left_s, has_presolve=False)
    return _to_outcome(rental, result)


def _solve(
    rental: RentalModel, options: SolveOptions, *, time_limit_s: float, has_presolve: bool
) -> mathopt.SolveResult:
    parameters = mathopt.SolveParameters(
        time_limit=timedelta(seconds=time_limit_s),
        relative_gap_tolerance=options.mip_gap,
        absolute_gap_tolerance=0.0,
        random_seed=options.seed,
        presolve=None if has_presolve else mathopt.Emphasis.OFF,
        highs=highs_pb2.HighsOptionsProto(
            string_options={"parallel": "off" if options.threads == 1 else "on"},
            double_options={
                "mip_feasibility_tolerance": _TOLERANCE,
                "primal_feasibility_tolerance": _TOLERANCE,
                "dual_feasibility_tolerance": _TOLERANCE,
            },
        ),
    )
    return mathopt.solve(rental.model, mathopt.SolverType.HIGHS, params=parameters)


def _to_outcome(rental: RentalModel, result: mathopt.SolveResult) -> Outcome:
    reason = result.termination.reason
    if reason is mathopt.TerminationReason.OPTIMAL:
        return _read(rental, result, OutcomeKind.OPTIMAL)
    if reason is mathopt.TerminationReason.FEASIBLE:
        return _read(rental, result, OutcomeKind.LIMIT_WITH_PLAN)
    if reason is mathopt.TerminationReason.NO_SOLUTION_FOUND:
        return _no_plan(OutcomeKind.LIMIT_WITHOUT_PLAN)
    if reason is mathopt.TerminationReason.INFEASIBLE:
        return _no_plan(OutcomeKind.INFEASIBLE)
    raise SolverFailureError(
        f"{SOLVER_NAME} ended with {reason.name}: {result.termination.detail}",
        reason=reason.name,
        detail=result.termination.detail,
    )


def _read(rental: RentalModel, result: mathopt.SolveResult, kind: OutcomeKind) -> Outcome:
    values = result.variable_values()
    duals: dict[str, float] = {}
    if kind is OutcomeKind.OPTIMAL and result.has_dual_feasible_solution():
        duals = {row.name: value for row, value in result.dual_values().items()}
    return Outcome(
        kind=kind,
        copies={key: values[variable] for key, variable in rental.copies.items()},
        time={key: max(0.0, values[variable]) * rental.time_scale[key[1]] for key, variable in rental.time.items()},
        rate=values[rental.rate] * rental.rate_scale,
        objective=result.objective_value(),
        bound=result.dual_bound(),
        duals=duals,
        missing={key: values[variable] for key, variable in rental.missing.items()},
    )


def _no_plan(kind: OutcomeKind) -> Outcome:
    return Outcome(
        kind=kind, copies={}, time={}, rate=math.nan, objective=math.nan, bound=math.nan, duals={}, missing={}
    )
