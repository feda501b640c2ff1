"""People: made with a role, which also decides whether they may enter the admin."""

from datetime import datetime

from django.db import transaction

from webapp.core import audit
from webapp.core.models import Role, User

_STAFF_ROLES = frozenset({Role.APPROVER, Role.ADMIN})  # approvals can be given in the admin as well


@transaction.atomic
def create_user(*, actor: User | None, username: str, password: str, role: Role, now: datetime) -> User:
    """Make a person with a role; only admins may change other people."""
    user = User.objects.create_user(
        username=username,
        password=password,
        role=role,
        is_staff=role in _STAFF_ROLES,
        is_superuser=role == Role.ADMIN,
    )
    audit.record(
        actor=actor,
        action="user.create",
        object_type="user",
        object_id=user.pk,
        now=now,
        detail={"username": username, "role": role},
    )
    return user
