"""Solving a plan request in three phases: load (short transaction), compute (none), apply (guarded by the token).

The token is new for every start. A worker whose token is no longer the row's has been overtaken: it stops at its next
progress report, and its answer is dropped. So a message that arrives twice, and a worker that comes back from the
dead, change nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from django.db import transaction

from engine.domain.offer import Offer
from engine.domain.plan import Plan as EnginePlan
from engine.domain.plan import SolveStatus
from engine.errors import EngineError
from engine.planners.rental.request import RentalAnswer, RentalRequest
from webapp.core import audit, events
from webapp.core.errors import ConflictError
from webapp.core.models import User
from webapp.core.queue import send_task
from webapp.market.mapping import usd_to_decimal
from webapp.market.selectors import list_snapshot_offers
from webapp.planning import mapping, stock
from webapp.planning.models import Plan, PlanRequest, PlanState
from webapp.planning.stock import CountTaken
from webapp.planning.transitions import OBJECT_TYPE, define_topic, lock_plan_request, move_locked

logger = logging.getLogger(__name__)

SOLVE_TASK: Final = "planning.solve"
SOLVE_QUEUE: Final = "solve"
# A working solver reports at every step; the longest silent one ends with the planner's time limit of 60 s.
SOLVE_LEASE: Final = timedelta(seconds=90)
_MAX_ATTEMPTS: Final = 3  # workers that may die on one request before it counts as the cause
_PROGRESS_INTERVAL_S: Final = 0.25  # browsers need no more, and every report is a transaction

_QUEUED: Final = "queued"
_PHASE_TEXTS: Final = {
    _QUEUED: "Waiting for a solver",
    "load": "Reading the market",
    "enumerate": "Listing configurations",
    "solve": "Solving",
    "compare": "Comparing with simpler plans",
    "explain": "Finding what binds",
    "done": "Storing the plan",
}

ReportProgress = Callable[[str, float], None]
ComputePlan = Callable[[RentalRequest, ReportProgress], RentalAnswer]


class SolveOvertakenError(ConflictError):
    """The request was solved, started again or given up meanwhile; this worker's answer is not wanted."""

    code = "solve_overtaken"


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveJob:
    """What one worker computes, and the token under which it may store the answer."""

    plan_request_id: int
    solve_token: str
    market_as_of: datetime
    request: RentalRequest


@transaction.atomic
def start_solve(*, actor: User | None, plan_request_id: int, now: datetime) -> PlanRequest:
    """Queue a solve; a request that is solving already is refused.

    Raises:
        NotFoundError: there is no such plan request.
        IllegalTransitionError: the request is in a state that cannot be solved.
        QueueUnavailableError: stored, but the broker does not answer; the sweep queues it later.
    """
    request = lock_plan_request(plan_request_id)
    changes = {"solve_token": str(uuid4()), "progress": _make_progress(_QUEUED, 0.0, attempt=1)}
    move_locked(request, to=PlanState.SOLVING, actor=actor, now=now, changes=changes)
    _queue_solve(request)
    return request


def _queue_solve(request: PlanRequest) -> None:
    send_task(SOLVE_TASK, queue=SOLVE_QUEUE, plan_request_id=request.pk, solve_token=request.solve_token)


def _make_progress(phase: str, fraction: float, *, attempt: int) -> dict[str, object]:
    return {"phase": phase, "fraction": round(fraction, 3), "text": _PHASE_TEXTS.get(phase, phase), "attempt": attempt}


def _get_attempt(request: PlanRequest) -> int:
    return int(request.progress.get("attempt", 1))


def solve(
    *,
    plan_request_id: int,
    solve_token: str,
    compute: ComputePlan,
    clock: Callable[[], float],
    get_now: Callable[[], datetime],
    count_taken: CountTaken = stock.count_nothing,
) -> PlanState | None:
    """Solve one request; return the state it reached, or None when the token was not (or no longer) the row's.

    Args:
        compute: the planner: request and progress report in, answer out.
        clock: monotonic seconds, for the pace of progress reports.
        get_now: the instant, asked at every write.
        count_taken: counts what other deployments have of the stock; the plan cannot have it.
    """
    reporter = ProgressReporter(plan_request_id=plan_request_id, solve_token=solve_token, clock=clock, get_now=get_now)
    try:
        reporter("load", 0.0)
        job = load_solve(
            plan_request_id=plan_request_id, solve_token=solve_token, now=get_now(), count_taken=count_taken
        )
        return apply_answer(job=job, answer=compute(job.request, reporter), now=get_now())
    except SolveOvertakenError as error:
        logger.info("solve dropped: %s", error)
        return None
    except EngineError as error:
        logger.warning("solve of plan request %s failed: %s", plan_request_id, error)
        return fail_solve(plan_request_id=plan_request_id, solve_token=solve_token, reason=error.message, now=get_now())


@transaction.atomic
def load_solve(
    *, plan_request_id: int, solve_token: str, now: datetime, count_taken: CountTaken = stock.count_nothing
) -> SolveJob:
    """Return what to compute, with what other deployments leave of the market as it is now.

    Raises:
        SolveOvertakenError: the token is not the row's.
        InvalidInputError: the stored model or workload cannot be planned.
    """
    request = _lock_solving(plan_request_id, solve_token)
    taken = count_taken(deployment_name=request.deployment_name)
    return SolveJob(
        plan_request_id=plan_request_id,
        solve_token=solve_token,
        market_as_of=now,
        request=mapping.row_to_rental_request(request, offers=stock.subtract_taken(_list_offers(request, now), taken)),
    )


def _list_offers(request: PlanRequest, now: datetime) -> tuple[Offer, ...]:
    offers = list_snapshot_offers(
        as_of=now,
        providers=request.allowed_providers,
        regions=request.allowed_regions,
        allows_spot=request.allows_spot,
    )
    return mapping.select_servable(offers, weights_path=request.model.weights_path)


def _lock_solving(plan_request_id: int, solve_token: str) -> PlanRequest:
    """Return the row, locked, when the token may still write."""
    rows = PlanRequest.objects.select_for_update()
    request = rows.filter(pk=plan_request_id, state=PlanState.SOLVING, solve_token=solve_token).first()
    if request is None:
        raise SolveOvertakenError(
            f"plan request {plan_request_id} is not being solved under this token", plan_request_id=plan_request_id
        )
    return request


class ProgressReporter:
    """Stores and announces progress, at most four times a second.

    Raises (when called):
        SolveOvertakenError: the token is no longer the row's; computing on would be for nothing.
    """

    def __init__(
        self,
        *,
        plan_request_id: int,
        solve_token: str,
        clock: Callable[[], float],
        get_now: Callable[[], datetime],
    ) -> None:
        self._plan_request_id = plan_request_id
        self._solve_token = solve_token
        self._clock = clock
        self._get_now = get_now
        self._reported_at_s: float | None = None

    def __call__(self, phase: str, fraction: float) -> None:
        """Report that `fraction` (0..1) of the whole is done."""
        now_s = self._clock()
        if self._reported_at_s is not None and now_s - self._reported_at_s < _PROGRESS_INTERVAL_S:
            return
        self._reported_at_s = now_s
        record_progress(
            plan_request_id=self._plan_request_id,
            solve_token=self._solve_token,
            phase=phase,
            fraction=fraction,
            now=self._get_now(),
        )


@transaction.atomic
def record_progress(*, plan_request_id: int, solve_token: str, phase: str, fraction: float, now: datetime) -> None:
    """Store and announce how far a solve is; this is also the worker's sign of life.

    Raises:
        SolveOvertakenError: the token is not the row's.
    """
    request = _lock_solving(plan_request_id, solve_token)
    request.progress = _make_progress(phase, fraction, attempt=_get_attempt(request))
    request.updated_at = now
    request.save(update_fields=["progress", "updated_at"])
    payload = {name: request.progress[name] for name in ("phase", "fraction", "text")}
    events.emit(topic=define_topic(plan_request_id), kind="progress", payload=payload, now=now)


@transaction.atomic
def apply_answer(*, job: SolveJob, answer: RentalAnswer, now: datetime) -> PlanState:
    """Store the planner's answer and move the request; infeasible is an answer, too.

    Raises:
        SolveOvertakenError: the token is not the row's; nothing is stored.
    """
    request = _lock_solving(job.plan_request_id, job.solve_token)
    Plan.objects.filter(request=request).delete()  # of an earlier solve, with the decision on it
    Plan.objects.create(
        request=request,
        created_at=now,
        usd_per_hour=usd_to_decimal(answer.plan.usd_per_hour),
        body=mapping.plan_to_json(answer.plan),
        instance=answer.instance,
        offers=mapping.offers_to_json(answer.plan, job.request.offers),
    )
    state, reason = _judge(answer.plan)
    changes = {"solve_token": "", "market_as_of": job.market_as_of}
    move_locked(request, to=state, reason=reason, now=now, changes=changes)
    return state


def _judge(plan: EnginePlan) -> tuple[PlanState, str]:
    report = plan.report
    if report.status is SolveStatus.INFEASIBLE:
        return PlanState.INFEASIBLE, " ".join(reason.text for reason in report.reasons) or "No plan meets the request."
    if report.status not in {SolveStatus.OPTIMAL, SolveStatus.FEASIBLE}:
        return PlanState.FAILED, f"The solver ended without a plan after {report.runtime_s:.0f} s."
    if not plan.machines:
        return PlanState.INFEASIBLE, "The best plan within the budget rents nothing."
    return PlanState.PRICED, ""


@transaction.atomic
def fail_solve(*, plan_request_id: int, solve_token: str, reason: str, now: datetime) -> PlanState | None:
    """Give a solve up; return the state reached, or None when the token is not the row's."""
    rows = PlanRequest.objects.select_for_update()
    request = rows.filter(pk=plan_request_id, state=PlanState.SOLVING, solve_token=solve_token).first()
    if request is None:
        return None
    move_locked(request, to=PlanState.FAILED, reason=reason, now=now, changes={"solve_token": ""})
    return PlanState.FAILED


def sweep_solves(*, now: datetime) -> list[int]:
    """Queue again what no worker has worked on for a lease; return the ids looked at.

    What a worker had begun gets a new token, so that a worker that only seemed dead changes nothing. What still waits
    keeps its token: of several messages the first one counts, and waiting long is no fault of the request.
    """
    silent = PlanRequest.objects.filter(state=PlanState.SOLVING, updated_at__lte=now - SOLVE_LEASE)
    ids = list(silent.order_by("pk").values_list("pk", flat=True))
    for plan_request_id in ids:
        _revive(plan_request_id, now)
    return ids


@transaction.atomic
def _revive(plan_request_id: int, now: datetime) -> None:
    rows = PlanRequest.objects.select_for_update()
    request = rows.filter(pk=plan_request_id, state=PlanState.SOLVING, updated_at__lte=now - SOLVE_LEASE).first()
    if request is None:
        return  # it lives after all
    attempt = _get_attempt(request)
    if request.progress.get("phase") != _QUEUED:
        attempt += 1
        request.solve_token = str(uuid4())
    if attempt > _MAX_ATTEMPTS:
        reason = f"Solving it ended {_MAX_ATTEMPTS} workers; the log of the solver says how."
        move_locked(request, to=PlanState.FAILED, reason=reason, now=now, changes={"solve_token": ""})
        return
    request.progress = _make_progress(_QUEUED, 0.0, attempt=attempt)
    request.updated_at = now
    request.save(update_fields=["solve_token", "progress", "updated_at"])
    detail = {"attempt": attempt}
    audit.record(
        actor=None, action="plan-request.requeue", object_type=OBJECT_TYPE, object_id=request.pk, now=now, detail=detail
    )
    _queue_solve(request)
