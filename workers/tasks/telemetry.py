"""Telemetry tasks: minutes from samples, and an end to what is old."""

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from webapp.telemetry import services


@shared_task(
    name="telemetry.roll_up",
    soft_time_limit=50,
    time_limit=58,
    autoretry_for=(OperationalError,),
    retry_backoff=2,
    retry_jitter=True,
    max_retries=2,
)
def roll_up(**_kwargs: object) -> None:
    """Sum up complete minutes and delete what is too old; every minute by the schedule."""
    services.roll_up(now=timezone.now())
