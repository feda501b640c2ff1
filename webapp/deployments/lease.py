"""The lease by which one reconcile at a time works on a deployment; a killed one's lease simply ends."""

from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from django.db.models import Q

from engine.errors import UnavailableError
from webapp.deployments.models import Deployment

LEASE: Final = timedelta(seconds=15)  # renewed before every step; steps are idempotent should one take longer


class LeaseLostError(UnavailableError):
    """Someone else works on the deployment now; whoever gets this stops."""

    code = "lease_lost"


def acquire(deployment_id: int, *, now: datetime) -> str | None:
    """Return the token of a new lease, or None while another one holds."""
    token = str(uuid4())
    free = Q(reconcile_token="") | Q(reconcile_until=None) | Q(reconcile_until__lte=now)
    rows = Deployment.objects.filter(free, pk=deployment_id)
    return token if rows.update(reconcile_token=token, reconcile_until=now + LEASE) else None


def seize(deployment_id: int, *, now: datetime) -> str:
    """Return the token of a new lease, taken from whoever holds one; that one stops before its next step."""
    token = str(uuid4())
    Deployment.objects.filter(pk=deployment_id).update(reconcile_token=token, reconcile_until=now + LEASE)
    return token


def renew(deployment_id: int, token: str, *, now: datetime) -> None:
    """Extend a lease.

    Raises:
        LeaseLostError: it is no longer ours.
    """
    rows = Deployment.objects.filter(pk=deployment_id, reconcile_token=token)
    if not rows.update(reconcile_until=now + LEASE):
        raise LeaseLostError(f"deployment {deployment_id} is reconciled by someone else", deployment_id=deployment_id)


def release(deployment_id: int, token: str) -> None:
    """Give a lease back; one that was lost stays with its new holder."""
    rows = Deployment.objects.filter(pk=deployment_id, reconcile_token=token)
    rows.update(reconcile_token="", reconcile_until=None)
