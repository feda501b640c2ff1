"""Tasks of deployments: hand over an approved plan, bring one deployment towards its plan, and the regular round."""

import logging
from typing import Final

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from webapp.core.errors import ConflictError, NotFoundError
from webapp.deployments import reconcile, services, sweep

_LOG: Final = logging.getLogger(__name__)
_WATCH_S: Final = 10.0  # a shard needs one to two seconds, the first one of a host about fifteen


@shared_task(
    name="deployments.apply",
    soft_time_limit=30,
    time_limit=60,
    autoretry_for=(OperationalError,),
    retry_backoff=1,
    retry_jitter=True,
    max_retries=3,
)
def apply(*, plan_request_id: int, **_kwargs: object) -> None:
    """Hand an approved plan to its deployment."""
    try:
        services.apply_plan(plan_request_id=plan_request_id, now=timezone.now())
    except (NotFoundError, ConflictError) as error:
        _LOG.info("plan request %d is not applied: %s", plan_request_id, error.message)


@shared_task(
    name="deployments.reconcile",
    soft_time_limit=150,
    time_limit=180,
    autoretry_for=(OperationalError,),
    retry_backoff=1,
    retry_jitter=True,
    max_retries=3,
)
def reconcile_one(*, deployment_id: int, **_kwargs: object) -> None:
    """Bring one deployment towards its plan and watch what is on its way for a while."""
    try:
        reconcile.reconcile_deployment(deployment_id=deployment_id, watch_s=_WATCH_S)
    except NotFoundError as error:
        _LOG.info("%s", error.message)


@shared_task(name="deployments.reconcile_all", soft_time_limit=150, time_limit=180)
def reconcile_all(**_kwargs: object) -> None:
    """Look at every deployment; every five seconds by the schedule, so a failed round is not retried."""
    sweep.reconcile_all()
