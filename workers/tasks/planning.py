"""Tasks of planning: solve one request, and find the solves whose worker died."""

import logging
import time
from typing import Final

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from engine.planners.rental.planner import plan_rental
from engine.planners.rental.request import RentalAnswer, RentalRequest
from webapp.approvals import services as approval_services
from webapp.deployments import stock
from webapp.planning import selectors as planning_selectors
from webapp.planning import services as planning_services
from webapp.planning.models import PlanState
from webapp.planning.solving import SOLVE_LEASE, ReportProgress

logger = logging.getLogger(__name__)

# The planner keeps its own limit of 60 s; beyond twice that, and before the sweep's lease ends, it hangs.
_SOFT_LIMIT_S: Final = 150
_HARD_LIMIT_S: Final = 170
_SWEEP_LIMIT_S: Final = 50  # it comes again every minute


def compute_plan(request: RentalRequest, report: ReportProgress) -> RentalAnswer:
    """Return the planner's answer, with this host's clock."""
    return plan_rental(request, clock=time.monotonic, on_progress=report)


@shared_task(name="planning.solve", soft_time_limit=_SOFT_LIMIT_S, time_limit=_HARD_LIMIT_S)
def solve(*, plan_request_id: int, solve_token: str, **_kwargs: object) -> None:
    """Solve one request and check the policies; under an old token nothing happens.

    Args:
        plan_request_id: the request.
        solve_token: which start of it this is.
        **_kwargs: arguments of newer senders, ignored.
    """
    try:
        state = planning_services.solve(
            plan_request_id=plan_request_id,
            solve_token=solve_token,
            compute=compute_plan,
            clock=time.monotonic,
            get_now=timezone.now,
            count_taken=stock.count_taken,
        )
    except SoftTimeLimitExceeded:
        reason = f"Solving did not end within {_SOFT_LIMIT_S} s."
        state = planning_services.fail_solve(
            plan_request_id=plan_request_id, solve_token=solve_token, reason=reason, now=timezone.now()
        )
    logger.info("solve of plan request %s: %s", plan_request_id, state or "dropped")
    if state is PlanState.PRICED:
        approval_services.check_policies(plan_request_id=plan_request_id, now=timezone.now())


@shared_task(name="planning.sweep", soft_time_limit=_SWEEP_LIMIT_S, time_limit=_SWEEP_LIMIT_S + 5)
def sweep(**_kwargs: object) -> None:
    """Queue solves again whose worker died, and check policies where it died right after the solve."""
    now = timezone.now()
    swept = planning_services.sweep_solves(now=now)
    unchecked = planning_selectors.list_unchecked_ids(before=now - SOLVE_LEASE)
    for plan_request_id in unchecked:
        approval_services.check_policies(plan_request_id=plan_request_id, now=now)
    if swept or unchecked:
        logger.warning("swept solves %s and policy checks %s", swept, unchecked)
