"""Who may do what."""

import pytest
from django.contrib.auth.models import AnonymousUser

from webapp.core.errors import ForbiddenError
from webapp.core.models import Role, User
from webapp.core.permissions import (
    APPROVALS_DECIDE,
    APPROVALS_VIEW,
    CORE_ADMIN,
    DEPLOYMENTS_OPERATE,
    DEPLOYMENTS_VIEW,
    MARKET_MANAGE,
    MARKET_VIEW,
    PERMISSIONS,
    PLANNING_CREATE,
    PLANNING_VIEW,
    ROLE_PERMISSIONS,
    has_permission,
    list_permissions,
    require,
)

VIEW = {MARKET_VIEW, PLANNING_VIEW, APPROVALS_VIEW, DEPLOYMENTS_VIEW}
GRANTED = {
    Role.VIEWER: VIEW,
    Role.PLANNER: VIEW | {PLANNING_CREATE, DEPLOYMENTS_OPERATE},
    Role.APPROVER: VIEW | {APPROVALS_DECIDE, DEPLOYMENTS_OPERATE},
    Role.ADMIN: VIEW | {MARKET_MANAGE, PLANNING_CREATE, APPROVALS_DECIDE, DEPLOYMENTS_OPERATE, CORE_ADMIN},
}


class TestListPermissions:
    def test_covers_every_role(self) -> None:
        assert set(ROLE_PERMISSIONS) == set(Role)
        assert frozenset().union(*ROLE_PERMISSIONS.values()) == PERMISSIONS

    @pytest.mark.parametrize("role", list(Role))
    def test_follows_the_role(self, role: Role) -> None:
        assert list_permissions(User(username="somebody", role=role)) == GRANTED[role]

    def test_gives_superusers_everything(self) -> None:
        assert list_permissions(User(username="root", role=Role.VIEWER, is_superuser=True)) == PERMISSIONS

    @pytest.mark.parametrize("user", [AnonymousUser(), User(username="gone", role=Role.ADMIN, is_active=False)])
    def test_gives_strangers_and_people_switched_off_nothing(self, user: User | AnonymousUser) -> None:
        assert list_permissions(user) == frozenset()


class TestHasPermission:
    @pytest.mark.django_db
    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize("permission", sorted(PERMISSIONS))
    def test_agrees_with_djangos_own_question(self, role: Role, permission: str) -> None:
        user = User.objects.create(username="somebody", role=role)
        expected = permission in GRANTED[role]
        assert has_permission(user, permission) is expected
        assert user.has_perm(permission) is expected

    def test_takes_a_misspelt_check_for_a_fault(self) -> None:
        with pytest.raises(LookupError, match="market.veiw"):
            has_permission(User(username="root", is_superuser=True), "market.veiw")


class TestRequire:
    def test_returns_when_the_role_includes_it(self) -> None:
        require(User(username="somebody", role=Role.PLANNER), PLANNING_CREATE)

    def test_says_which_role_lacks_what(self) -> None:
        with pytest.raises(ForbiddenError) as error:
            require(User(username="somebody", role=Role.VIEWER), APPROVALS_DECIDE)
        assert error.value.data == {"permission": APPROVALS_DECIDE, "role": "viewer"}
        assert error.value.message == "your role (viewer) does not include approvals.decide; an admin can change roles"

    def test_refuses_strangers(self) -> None:
        with pytest.raises(ForbiddenError) as error:
            require(AnonymousUser(), MARKET_VIEW)
        assert error.value.data["role"] == "none"
