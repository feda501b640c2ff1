"""The steps before a start, on a real database."""

import json
import stat
from datetime import datetime

import pytest

from webapp.approvals.models import Policy
from webapp.core import tokens
from webapp.core.models import ApiToken, Role, User
from webapp.market.models import Offer
from webapp.planning.models import ServedModel, WorkloadProfile
from workers import console_access
from workers.home import Home
from workers.up import steps

pytestmark = pytest.mark.django_db


class TestMigrate:
    def test_has_nothing_to_do_twice(self) -> None:
        assert steps.migrate() == 0


class TestLoadMarket:
    @pytest.mark.slow
    def test_loads_the_table_and_this_host(self, now: datetime) -> None:
        num_offers = steps.load_market(now=now)
        assert num_offers == Offer.objects.count()
        assert num_offers >= 80
        assert Offer.objects.filter(provider="local").count() == 1
        assert steps.load_market(now=now) == num_offers


class TestEnsurePresets:
    def test_makes_what_a_first_plan_needs(self, now: datetime) -> None:
        steps.ensure_presets(now=now)
        steps.ensure_presets(now=now)
        assert ServedModel.objects.filter(slug="demo", is_preset=True).count() == 1
        assert WorkloadProfile.objects.filter(slug="demo", is_preset=True).count() == 1
        assert Policy.objects.count() == 1


class TestEnsureAdmin:
    def test_makes_the_first_admin_with_a_random_password(self, now: datetime) -> None:
        password = steps.ensure_admin(now=now)
        assert password is not None
        assert len(password) == 16
        admin = User.objects.get(username="admin")
        assert admin.check_password(password)
        assert (admin.role, admin.is_superuser) == (Role.ADMIN, True)

    def test_leaves_an_admin_alone(self, admin: User, now: datetime) -> None:
        assert steps.ensure_admin(now=now) is None
        assert User.objects.count() == 1


class TestEnsureCliAccess:
    def test_makes_a_token_that_only_the_owner_can_read(self, home: Home, now: datetime) -> None:
        steps.ensure_cli_access(home=home, web_url="http://127.0.0.1:8400", now=now)
        data = json.loads(home.cli.read_text())
        assert set(data) == {"web_url", "token"}
        assert data["web_url"] == "http://127.0.0.1:8400"
        assert stat.S_IMODE(home.cli.stat().st_mode) == 0o600
        user = tokens.authenticate(data["token"])
        assert user is not None
        assert (user.username, user.role, user.has_usable_password()) == ("cli", Role.PLANNER, False)

    def test_keeps_the_token_at_another_address(self, home: Home, now: datetime) -> None:
        steps.ensure_cli_access(home=home, web_url="http://127.0.0.1:8400", now=now)
        first = console_access.find_access(home)
        steps.ensure_cli_access(home=home, web_url="http://127.0.0.1:8402", now=now)
        second = console_access.find_access(home)
        assert first is not None
        assert second is not None
        assert (second.web_url, second.token) == ("http://127.0.0.1:8402", first.token)
        assert ApiToken.objects.count() == 1

    def test_replaces_a_revoked_token(self, home: Home, now: datetime) -> None:
        steps.ensure_cli_access(home=home, web_url="http://127.0.0.1:8400", now=now)
        tokens.revoke_token(actor=None, token_id=ApiToken.objects.get().pk, now=now)
        steps.ensure_cli_access(home=home, web_url="http://127.0.0.1:8400", now=now)
        access = console_access.find_access(home)
        assert access is not None
        assert tokens.authenticate(access.token) is not None
        assert User.objects.filter(username="cli").count() == 1
