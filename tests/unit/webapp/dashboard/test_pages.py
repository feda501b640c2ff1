"""Who may open which page and send which form: every kind of person, and strangers."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from webapp.core import tokens
from webapp.core.models import ApiToken, AuditEntry, Event, User
from webapp.dashboard.pages import CONTENT_SECURITY_POLICY
from webapp.deployments.models import Deployment, GatewayKey
from webapp.market.models import MarketImport
from webapp.planning.models import PlanRequest, ServedModel, WorkloadProfile

ROLES = ("viewer", "planner", "approver", "admin")
_PLANNERS = ("planner", "admin")
_DECIDERS = ("approver", "admin")
_OPERATORS = ("planner", "approver", "admin")

_PAGES = (
    ("home", (), ROLES),
    ("market", (), ROLES),
    ("catalogue", (), ROLES),
    ("plans", (), ROLES),
    ("plan", ("plan",), ROLES),
    ("plan-instance", ("plan",), ROLES),
    ("plan-new", (), _PLANNERS),
    ("approvals", (), ROLES),
    ("deployments", (), ROLES),
    ("deployment", ("name",), ROLES),
    ("deployment-series", ("name",), ROLES),
    ("shard-log", ("name", "shard"), ROLES),
    ("account", (), ROLES),
)
_FORMS = (
    ("market-import", (), ("admin",)),
    ("model-upload", (), _PLANNERS),
    ("workload-upload", (), _PLANNERS),
    ("plan-new", (), _PLANNERS),
    ("plan-solve", ("plan",), _PLANNERS),
    ("plan-approve", ("plan",), _DECIDERS),
    ("plan-reject", ("plan",), _DECIDERS),
    ("deployment-stop", ("name",), _OPERATORS),
    ("deployment-traffic", ("name",), _OPERATORS),
    ("deployment-limit", ("name",), ("admin",)),
    ("key-create", ("name",), _OPERATORS),
    ("key-revoke", ("name", "key"), _OPERATORS),
    ("token-create", (), ROLES),
    ("token-revoke", ("token",), ROLES),
    ("password-change", (), ROLES),
)


def _count_rows() -> tuple[int, ...]:
    kept = (AuditEntry, Event, PlanRequest, ServedModel, WorkloadProfile, MarketImport, GatewayKey, ApiToken)
    return tuple(kind._default_manager.count() for kind in kept)


@pytest.fixture
def address(awaiting: PlanRequest, deployment: Deployment, viewer: User, now: Any) -> Any:
    """Return the address of a page by the words of its arguments."""
    token, _ = tokens.create_token(actor=viewer, user=viewer, name="mine", now=now)
    values = {
        "plan": awaiting.pk,
        "name": deployment.name,
        "shard": "chat-r1-12345678",
        "key": GatewayKey.objects.get().pk,
        "token": token.pk,
    }
    return lambda name, words: reverse(f"dashboard:{name}", args=[values[word] for word in words])


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Any:
    """Return the user of a role; the viewer exists already."""
    return lambda role: request.getfixturevalue(role)


class TestPages:
    @pytest.mark.parametrize(("name", "words", "allowed"), _PAGES, ids=[page[0] for page in _PAGES])
    @pytest.mark.parametrize("role", ROLES)
    def test_open_for_the_roles_that_may_see_them(
        self, browse: Any, address: Any, person: Any, name: str, words: Any, allowed: Any, role: str
    ) -> None:
        response = browse(person(role)).get(address(name, words))
        assert response.status_code == (200 if role in allowed else 403)
        assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY

    @pytest.mark.parametrize(("name", "words", "_allowed"), _PAGES, ids=[page[0] for page in _PAGES])
    def test_send_strangers_to_the_sign_in_page(
        self, client: Client, address: Any, name: str, words: Any, _allowed: Any
    ) -> None:
        response = client.get(address(name, words))
        assert response.status_code == 302
        assert response.headers["Location"] == f"/login/?next={address(name, words)}"

    def test_refuse_people_who_were_switched_off(self, browse: Any, viewer: User) -> None:
        client = browse(viewer)
        User.objects.filter(pk=viewer.pk).update(is_active=False)
        assert client.get("/market/").status_code == 302

    def test_tell_a_fragment_of_a_stranger_where_to_go(self, client: Client, db: None) -> None:
        headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/market/?gpu=H100"}
        response = client.get("/market/?gpu=L4", headers=headers)
        assert response.status_code == 204
        assert response.headers["HX-Redirect"].startswith("/login/?next=")

    def test_name_the_permission_that_is_missing(self, browse: Any, viewer: User) -> None:
        response = browse(viewer).get("/plans/new/")
        assert "Your role (viewer) does not include planning.create" in response.content.decode()


class TestForms:
    @pytest.mark.parametrize(("name", "words", "allowed"), _FORMS, ids=[form[0] for form in _FORMS])
    @pytest.mark.parametrize("role", ROLES)
    def test_refuse_the_roles_that_may_not_send_them_and_change_nothing(
        self, browse: Any, address: Any, person: Any, name: str, words: Any, allowed: Any, role: str
    ) -> None:
        target, client = address(name, words), browse(person(role))
        before = _count_rows()
        response = client.post(target)
        if role in allowed:
            assert response.status_code in {200, 302, 422}
        else:
            assert response.status_code == 403
            assert _count_rows() == before

    @pytest.mark.parametrize(("name", "words", "_allowed"), _FORMS, ids=[form[0] for form in _FORMS])
    def test_change_nothing_for_strangers(
        self, client: Client, address: Any, name: str, words: Any, _allowed: Any
    ) -> None:
        target = address(name, words)
        before = _count_rows()
        assert client.post(target).status_code == 302
        assert _count_rows() == before

    @pytest.mark.parametrize("name", [form[0] for form in _FORMS if form[0] != "plan-new"])
    def test_answer_only_post(self, browse: Any, address: Any, admin: User, name: str) -> None:
        words = next(form[1] for form in _FORMS if form[0] == name)
        assert browse(admin).get(address(name, words)).status_code == 405

    def test_need_the_token_of_the_session(self, address: Any, admin: User, deployment: Deployment) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin)
        response = client.post(address("deployment-stop", ("name",)))
        assert response.status_code == 403
        assert "This form is too old" in response.content.decode()
        deployment.refresh_from_db()
        assert deployment.state == "live"
