"""What the rest of the console may do to models, workloads and plan requests."""

from datetime import datetime

from django.db import transaction

from webapp.core.models import User
from webapp.planning.catalogue import ensure_presets, upload_model, upload_trace
from webapp.planning.freshness import StalePlanError, check_fresh, find_stale_reason
from webapp.planning.models import PlanRequest
from webapp.planning.plan_requests import PlanRequestSpec, create_plan_request
from webapp.planning.solving import fail_solve, solve, start_solve, sweep_solves
from webapp.planning.transitions import IllegalTransitionError, lock_plan_request, move, move_locked

__all__ = [
    "IllegalTransitionError",
    "PlanRequestSpec",
    "StalePlanError",
    "check_fresh",
    "create_plan_request",
    "ensure_presets",
    "fail_solve",
    "find_stale_reason",
    "lock_plan_request",
    "move",
    "move_locked",
    "request_plan",
    "solve",
    "start_solve",
    "sweep_solves",
    "upload_model",
    "upload_trace",
]


@transaction.atomic
def request_plan(*, actor: User, spec: PlanRequestSpec, now: datetime) -> PlanRequest:
    """Store a plan request and start solving it.

    Raises:
        InvalidInputError: a field cannot be used; nothing is stored.
        QueueUnavailableError: stored, but the broker does not answer; the sweep queues it later.
    """
    request = create_plan_request(actor=actor, spec=spec, now=now)
    return start_solve(actor=actor, plan_request_id=request.pk, now=now)
