"""Who may do what: one table of roles, kept as `rules` predicates so that `user.has_perm` answers alike."""

from typing import Final

from django.contrib.auth.models import AnonymousUser
from rules import permissions as rules_permissions
from rules.predicates import predicate

from webapp.core.errors import ForbiddenError
from webapp.core.models import Role, User

MARKET_VIEW: Final = "market.view"
MARKET_MANAGE: Final = "market.manage"
PLANNING_VIEW: Final = "planning.view"
PLANNING_CREATE: Final = "planning.create"
APPROVALS_VIEW: Final = "approvals.view"
APPROVALS_DECIDE: Final = "approvals.decide"
DEPLOYMENTS_VIEW: Final = "deployments.view"
DEPLOYMENTS_OPERATE: Final = "deployments.operate"
CORE_ADMIN: Final = "core.admin"

_VIEW: Final = frozenset({MARKET_VIEW, PLANNING_VIEW, APPROVALS_VIEW, DEPLOYMENTS_VIEW})
PERMISSIONS: Final = _VIEW | {MARKET_MANAGE, PLANNING_CREATE, APPROVALS_DECIDE, DEPLOYMENTS_OPERATE, CORE_ADMIN}
ROLE_PERMISSIONS: Final[dict[str, frozenset[str]]] = {
    Role.VIEWER: _VIEW,
    Role.PLANNER: _VIEW | {PLANNING_CREATE, DEPLOYMENTS_OPERATE},
    Role.APPROVER: _VIEW | {APPROVALS_DECIDE, DEPLOYMENTS_OPERATE},
    Role.ADMIN: PERMISSIONS,
}


def list_permissions(user: User | AnonymousUser) -> frozenset[str]:
    """Return every permission of a person; empty for strangers and for people who were switched off."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    return PERMISSIONS if user.is_superuser else ROLE_PERMISSIONS[user.role]


def has_permission(user: User | AnonymousUser, permission: str, obj: object = None) -> bool:
    """Return whether `user` holds `permission`.

    Raises:
        LookupError: no permission has this name; a misspelt check must not look like a refusal.
    """
    if permission not in PERMISSIONS:
        raise LookupError(f"no permission is called {permission!r}")
    return bool(rules_permissions.has_perm(permission, user, obj))  # type: ignore[no-untyped-call]  # rules is untyped


def require(user: User | AnonymousUser, permission: str, obj: object = None) -> None:
    """Return when `user` holds `permission`.

    Raises:
        ForbiddenError: the role of the person does not include it.
        LookupError: no permission has this name.
    """
    if not has_permission(user, permission, obj):
        role = user.role if isinstance(user, User) else "none"
        raise ForbiddenError(
            f"your role ({role}) does not include {permission}; an admin can change roles",
            permission=permission,
            role=role,
        )


def _define_permission(permission: str) -> None:
    def is_granted(user: User | AnonymousUser) -> bool:
        return permission in list_permissions(user)

    check = predicate(is_granted, name=permission)  # type: ignore[no-untyped-call]  # rules is untyped
    rules_permissions.set_perm(permission, check)  # type: ignore[no-untyped-call]  # rules is untyped


for _permission in sorted(PERMISSIONS):
    _define_permission(_permission)
