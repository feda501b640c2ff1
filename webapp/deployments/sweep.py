"""The regular round over all deployments: what a lost message or a killed worker left undone is taken up here."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.utils import timezone

from webapp.core import queue
from webapp.core.errors import QueueUnavailableError
from webapp.deployments import selectors
from webapp.deployments.access import REAL_ACCESS, Access
from webapp.deployments.applying import apply_plan
from webapp.deployments.isolation import isolated
from webapp.deployments.orphans import release_orphans
from webapp.deployments.reconcile import reconcile_deployment
from webapp.planning.models import PlanRequest, PlanState

_LOG: Final = logging.getLogger(__name__)


def reconcile_all(
    *,
    access: Access = REAL_ACCESS,
    clock: Callable[[], datetime] = timezone.now,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Apply approved plans nobody has applied yet, look once at every deployment, and release orphans.

    A deployment on which something is on its way is queued for a closer watch. One that cannot be handled does not
    keep the others waiting.

    Returns:
        How many deployments were looked at.
    """
    for plan_request_id in list_unapplied_ids():
        _apply(plan_request_id, access, clock)
    deployment_ids = selectors.list_reconcilable_ids()
    for deployment_id in deployment_ids:
        _reconcile(deployment_id, access, clock, sleep)
    release_orphans(access=access, clock=clock)
    return len(deployment_ids)


def list_unapplied_ids() -> list[int]:
    """Return approved plan requests in the order of their approval."""
    rows = PlanRequest.objects.filter(state=PlanState.APPROVED).order_by("updated_at", "pk")
    return list(rows.values_list("pk", flat=True))


def _apply(plan_request_id: int, access: Access, clock: Callable[[], datetime]) -> None:
    with isolated(f"plan request {plan_request_id} was not applied"):
        apply_plan(plan_request_id=plan_request_id, now=clock(), access=access)


def _reconcile(
    deployment_id: int, access: Access, clock: Callable[[], datetime], sleep: Callable[[float], None]
) -> None:
    with isolated(f"deployment {deployment_id} was not reconciled"):
        result = reconcile_deployment(deployment_id=deployment_id, access=access, clock=clock, sleep=sleep)
        if result.is_moving:
            _watch_closely(deployment_id)


def _watch_closely(deployment_id: int) -> None:
    try:
        queue.send_task("deployments.reconcile", queue="operate", deployment_id=deployment_id)
    except QueueUnavailableError as error:
        _LOG.warning("deployment %d is watched by the schedule only: %s", deployment_id, error.message)
