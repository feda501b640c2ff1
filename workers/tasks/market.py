"""Market tasks: observing what can be rented."""

import logging
from typing import Final

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from webapp.market import services

logger: Final = logging.getLogger(__name__)


@shared_task(
    name="market.refresh_local",
    soft_time_limit=20,
    time_limit=30,
    autoretry_for=(OperationalError,),
    retry_backoff=2,
    retry_jitter=True,
    max_retries=2,
)
def refresh_local(**_kwargs: object) -> None:
    """Observe the slots of this host; every minute by the schedule."""
    report = services.refresh_local_offers(now=timezone.now())
    if report is not None:
        logger.info("observed the local offer: %d new, %d unchanged", report.num_loaded, report.num_unchanged)
