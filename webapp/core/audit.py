"""The audit log: who did what to which object."""

from collections.abc import Mapping
from datetime import datetime

from webapp.core.models import AuditEntry, User


def record(
    *,
    actor: User | None,
    action: str,
    object_type: str,
    object_id: object,
    now: datetime,
    detail: Mapping[str, object] | None = None,
) -> AuditEntry:
    """Append one entry, in the transaction of the change it tells about.

    Args:
        actor: the person, or None for the system itself.
        action: what was done, `noun.verb`, e.g. `plan.approve`.
        object_type: word of the design for the object, e.g. `plan-request`.
        object_id: identity of the object; kept as text.
        detail: JSON-able data a reader needs to understand the entry; never secrets.
    """
    return AuditEntry.objects.create(
        created_at=now,
        actor=actor,
        action=action,
        object_type=object_type,
        object_id=str(object_id),
        detail=dict(detail or {}),
    )
