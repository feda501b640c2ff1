"""The steps that make an installation ready to start; each changes nothing when all is there."""

import secrets
from datetime import datetime
from typing import Final

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor

from webapp.approvals import services as approval_services
from webapp.core import services as core_services
from webapp.core import tokens
from webapp.core.models import Role, User
from webapp.market import services as market_services
from webapp.market.models import Offer
from webapp.planning import services as planning_services
from workers import console_access
from workers.console_access import ConsoleAccess
from workers.home import Home

ADMIN_NAME: Final = "admin"
CLI_USER: Final = "cli"  # whom the `medley` command acts as
_PASSWORD_BYTES: Final = 12


def migrate() -> int:
    """Bring the database up to date and return how many migrations that took."""
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    num_missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if num_missing:
        call_command("migrate", interactive=False, verbosity=0)
    return num_missing


def load_market(*, now: datetime) -> int:
    """Load the seed table and the slots of this host; return the number of offers."""
    market_services.load_seed(now=now)
    market_services.refresh_local_offers(now=now)
    return Offer.objects.count()


def ensure_presets(*, now: datetime) -> None:
    """Make sure that preset models and workloads and the default policy are there."""
    planning_services.ensure_presets(now=now)
    approval_services.ensure_default_policy(now=now)


def ensure_admin(*, now: datetime) -> str | None:
    """Make the first admin and return the random password; None when there is an admin."""
    if User.objects.filter(role=Role.ADMIN).exists():
        return None
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    core_services.create_user(actor=None, username=ADMIN_NAME, password=password, role=Role.ADMIN, now=now)
    return password


def ensure_cli_access(*, home: Home, web_url: str, now: datetime) -> None:
    """Make sure that the `medley` command of this installation can speak to the console."""
    known = console_access.find_access(home)
    token = known.token if known and tokens.authenticate(known.token) else _create_cli_token(now)
    console_access.write_access(home, ConsoleAccess(web_url=web_url, token=token))


def _create_cli_token(now: datetime) -> str:
    user = User.objects.filter(username=CLI_USER).first()
    if user is None:
        user = core_services.create_user(actor=None, username=CLI_USER, password=None, role=Role.PLANNER, now=now)
    return tokens.create_token(actor=None, user=user, name="medley command", now=now)[1]
