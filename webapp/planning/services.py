"""What the rest of the console may do to models, workloads and plan requests."""

from webapp.planning.catalogue import ensure_presets, upload_model, upload_trace
from webapp.planning.freshness import StalePlanError, check_fresh
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
    "lock_plan_request",
    "move",
    "move_locked",
    "solve",
    "start_solve",
    "sweep_solves",
    "upload_model",
    "upload_trace",
]
