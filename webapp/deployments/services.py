"""What people and programs may do to deployments; every change is an audit row and an event."""

import hashlib
import secrets
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from engine.errors import InvalidInputError
from webapp.core import audit, events, queue
from webapp.core.errors import NotFoundError
from webapp.core.models import User
from webapp.deployments import states, transitions
from webapp.deployments.applying import NotApprovedError, apply_plan
from webapp.deployments.local_release import release_local_machines
from webapp.deployments.models import Deployment, DeploymentState, GatewayKey
from webapp.planning import services as plan_services
from webapp.planning.models import PlanRequest, PlanState

__all__ = [
    "NotApprovedError",
    "apply_plan",
    "create_gateway_key",
    "release_local_machines",
    "revoke_gateway_key",
    "set_background_traffic",
    "set_spend_limit",
    "stop_deployment",
]

_KEY_PREFIX: Final = "mdk_"  # lets secret scanners and people recognise a leaked key
_KEY_BYTES: Final = 32
_SHOWN_CHARS: Final = 12
_KEY_NAME_CHARS: Final = 64


@transaction.atomic
def stop_deployment(*, actor: User | None, name: str, now: datetime) -> Deployment:
    """Have everything of a deployment released; a second call changes nothing.

    Plans for it that were approved and not applied yet become stale, or the next round would start it again.

    Raises:
        NotFoundError: there is no such deployment.
    """
    deployment = _lock_by_name(name)
    who = actor.username if actor else "the system"
    _withdraw_approved(name, reason=f"the deployment was stopped by {who}: solve it again", actor=actor, now=now)
    if deployment.state in states.UNWANTED:
        return deployment
    transitions.move_deployment(
        deployment, to=DeploymentState.STOPPING, reason=f"stopped by {who}", actor=actor, now=now
    )
    _audit(deployment, "deployment.stop", actor=actor, now=now)
    queue.send_task("deployments.reconcile", queue="operate", deployment_id=deployment.pk)
    return deployment


def _withdraw_approved(name: str, *, reason: str, actor: User | None, now: datetime) -> None:
    """Make the approved plans of a locked deployment stale; applying takes the same lock first."""
    waiting = PlanRequest.objects.select_for_update(of=("self",)).filter(deployment_name=name, state=PlanState.APPROVED)
    for request in waiting.order_by("pk"):
        plan_services.move_locked(request, to=PlanState.STALE, reason=reason, actor=actor, now=now)


@transaction.atomic
def set_background_traffic(*, actor: User | None, name: str, is_on: bool, now: datetime) -> Deployment:
    """Switch the replay of a trace against a deployment on or off.

    Raises:
        NotFoundError: there is no such deployment.
    """
    deployment = _lock_by_name(name)
    if deployment.has_background_traffic == is_on:
        return deployment
    deployment.has_background_traffic, deployment.updated_at = is_on, now
    deployment.save(update_fields=["has_background_traffic", "updated_at"])
    _audit(deployment, "deployment.background-traffic", actor=actor, now=now, is_on=is_on)
    events.emit(topic=transitions.define_topic(name), kind="traffic", payload={"is_on": is_on}, now=now)
    return deployment


@transaction.atomic
def set_spend_limit(*, actor: User | None, name: str, spend_limit_usd: Decimal | None, now: datetime) -> Deployment:
    """Set what a deployment may spend in all [USD]; None lifts the limit.

    Raises:
        NotFoundError: there is no such deployment.
        InvalidInputError: the limit is not above 0.
    """
    if spend_limit_usd is not None and spend_limit_usd <= 0:
        raise InvalidInputError(
            "the spend limit must be above 0", field="spend_limit_usd", remedy="give USD, or null for no limit"
        )
    deployment = _lock_by_name(name)
    deployment.spend_limit_usd, deployment.spend_warned_at, deployment.updated_at = spend_limit_usd, None, now
    deployment.save(update_fields=["spend_limit_usd", "spend_warned_at", "updated_at"])
    shown = None if spend_limit_usd is None else str(spend_limit_usd)
    _audit(deployment, "deployment.spend-limit", actor=actor, now=now, spend_limit_usd=shown)
    return deployment


@transaction.atomic
def create_gateway_key(
    *, actor: User | None, deployment_name: str, key_name: str, now: datetime
) -> tuple[GatewayKey, str]:
    """Make a client's key to one deployment; return its row and the plain text, which is never kept.

    Raises:
        NotFoundError: there is no such deployment.
        InvalidInputError: the name is empty or too long.
    """
    if not 1 <= len(key_name.strip()) <= _KEY_NAME_CHARS:
        raise InvalidInputError(
            "a key needs a name", field="name", remedy=f"say who uses it, in 1 to {_KEY_NAME_CHARS} characters"
        )
    deployment = _lock_by_name(deployment_name)
    plaintext = _KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    key = GatewayKey.objects.create(
        deployment=deployment,
        name=key_name.strip(),
        prefix=plaintext[:_SHOWN_CHARS],
        key_hash=hashlib.sha256(plaintext.encode()).hexdigest(),
        created_at=now,
    )
    _audit(deployment, "gateway-key.create", actor=actor, now=now, key_id=key.pk, name=key.name)
    return key, plaintext


@transaction.atomic
def revoke_gateway_key(
    *, actor: User | None, key_id: int, deployment_name: str | None = None, now: datetime
) -> GatewayKey:
    """Switch a key off for good; gateways drop it within a second. A second call changes nothing.

    Args:
        deployment_name: refuse a key of another deployment; None accepts any.
    Raises:
        NotFoundError: there is no such key.
    """
    rows = GatewayKey.objects.select_for_update(of=("self",)).select_related("deployment").filter(pk=key_id)
    key = rows.first()
    if key is None or deployment_name not in {None, key.deployment.name}:
        raise NotFoundError(f"there is no gateway key {key_id}", field="key_id")
    if key.revoked_at is None:
        key.revoked_at = now
        key.save(update_fields=["revoked_at"])
        _audit(key.deployment, "gateway-key.revoke", actor=actor, now=now, key_id=key.pk, name=key.name)
    return key


def _lock_by_name(name: str) -> Deployment:
    row = Deployment.objects.select_for_update(of=("self",)).select_related("plan_request").filter(name=name).first()
    if row is None:
        raise NotFoundError(f"there is no deployment {name}", field="name", remedy="see GET /api/v1/deployments")
    return row


def _audit(deployment: Deployment, action: str, *, actor: User | None, now: datetime, **detail: object) -> None:
    audit.record(
        actor=actor,
        action=action,
        object_type=transitions.OBJECT_TYPE,
        object_id=deployment.name,
        now=now,
        detail=detail,
    )
