"""Fixtures every test may use: an instant, the folder of measurements, and one user of each role."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection

from webapp.core.models import Role, User


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what only a database with row locks can show."""
    if item.get_closest_marker("row_locks") and connection.vendor != "postgresql":
        pytest.skip("needs a database with row locks: `make test-postgres`, or set DATABASE_URL to a PostgreSQL")


@pytest.fixture
def now() -> datetime:
    """A fixed instant."""
    return datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def data_dir() -> Path:
    """The folder of measurements, prices and traces that are not part of the project."""
    path = os.environ.get("MEDLEY_DATA")
    if not path:
        pytest.skip("MEDLEY_DATA does not point to the folder of measurements")
    return Path(path)


def _create_user(role: Role) -> User:
    return User.objects.create_user(username=role.value, password="a-long-password", role=role)


@pytest.fixture
def viewer(db: None) -> User:
    """May look."""
    return _create_user(Role.VIEWER)


@pytest.fixture
def planner(db: None) -> User:
    """May ask for plans and operate deployments."""
    return _create_user(Role.PLANNER)


@pytest.fixture
def approver(db: None) -> User:
    """May decide plans of others."""
    return _create_user(Role.APPROVER)


@pytest.fixture
def admin(db: None) -> User:
    """May do everything."""
    return User.objects.create_user(
        username="admin", password="a-long-password", role=Role.ADMIN, is_staff=True, is_superuser=True
    )
