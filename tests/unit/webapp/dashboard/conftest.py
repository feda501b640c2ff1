"""A deployment with a machine, a shard and a key, and a browser's client for every kind of person."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.test import Client

from webapp.core.models import User
from webapp.deployments.models import (
    Deployment,
    DeploymentState,
    GatewayKey,
    LedgerEntry,
    Machine,
    MachineState,
    Shard,
    ShardState,
)
from webapp.planning.models import PlanRequest, PlanState

Browse = Callable[[User | None], Client]

PREFIX = "mdk_abcdefgh"


@pytest.fixture(autouse=True)
def _relay_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give pages their bookmark without a query, as in a web process, whose relay always runs."""
    monkeypatch.setattr("webapp.dashboard.pages.get_position", lambda: 0)


@pytest.fixture
def browse() -> Browse:
    """Return a client that is signed in as a person; None is a stranger."""

    def sign_in(user: User | None) -> Client:
        client = Client()
        if user is not None:
            client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def awaiting(make_plan_request: Callable[..., PlanRequest]) -> PlanRequest:
    """A priced plan of `author` that waits for a decision."""
    return make_plan_request(PlanState.AWAITING_APPROVAL)


@pytest.fixture
def deployment(make_plan_request: Callable[..., PlanRequest], now: datetime) -> Deployment:
    """A live deployment called `chat` that has run for an hour at 40 USD/h."""
    began = now - timedelta(hours=1)
    row = Deployment.objects.create(
        name="chat",
        state=DeploymentState.LIVE,
        plan_request=make_plan_request(PlanState.LIVE),
        budget_usd_per_hour=Decimal("100"),
        created_at=began,
        updated_at=now,
    )
    machine = Machine.objects.create(
        deployment=row,
        plan_machine_id="m1",
        token=UUID("12345678-1234-5678-1234-567812345678"),
        provider="aws",
        offer_id="aws:us-east-1:p5.48xlarge:on_demand",
        usd_per_hour=Decimal("40"),
        state=MachineState.READY,
        created_at=began,
        rent_started_at=began,
    )
    LedgerEntry.objects.create(machine=machine, usd_per_hour=Decimal("40"), opened_at=began)
    Shard.objects.create(
        deployment=row,
        machine=machine,
        shard_id="chat-r1-12345678",
        replica_id="r1",
        state=ShardState.READY,
        port=50_001,
        num_restarts=2,
        spec={},
        updated_at=now,
    )
    GatewayKey.objects.create(deployment=row, name="backend", prefix=PREFIX, key_hash="0" * 64, created_at=now)
    return row
