"""REST of deployments: every kind of actor, strict input, and what a refusal leaves unchanged."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from engine.domain.configuration import Phase, Stage
from engine.domain.plan import Plan, PlannedMachine, PlannedReplica, PlannedStage
from tests.support.fake_cloud import FakeClock, FakeCloud
from webapp.core import tokens
from webapp.core.models import AuditEntry, User
from webapp.deployments import selectors, services
from webapp.deployments.applying import apply_plan
from webapp.deployments.models import Deployment, GatewayKey
from webapp.deployments.reconcile import reconcile_deployment
from webapp.planning.models import PlanRequest, PlanState, ServedModel

pytestmark = pytest.mark.django_db

Call = Callable[..., HttpResponse]
SLOT = "local:this-host:cpu-slot:on_demand"
ROLES = ("viewer", "planner", "approver", "admin")
OPERATORS = ("planner", "approver", "admin")
READS = ("/deployments", "/deployments/chat", "/deployments/chat/shards/{shard}/log")
CHANGES = (
    ("POST", "/deployments/chat/stop", None, 202),
    ("POST", "/deployments/chat/keys", {"name": "ci"}, 201),
    ("DELETE", "/deployments/chat/keys/{key}", None, 204),
    ("PUT", "/deployments/chat/background-traffic", {"is_on": True}, 200),
)


@pytest.fixture
def call(client: Client, now: datetime) -> Call:
    """Call the API as a user (None: a stranger)."""

    def send(user: User | None, method: str, path: str, body: object = None) -> HttpResponse:
        headers = {}
        if user is not None:
            _, plaintext = tokens.create_token(actor=None, user=user, name="test", now=now)
            headers = {"Authorization": f"Bearer {plaintext}"}
        data = "" if body is None else json.dumps(body)
        return client.generic(method, f"/api/v1{path}", data, content_type="application/json", headers=headers)

    return send


@pytest.fixture
def local_plan(make_plan: Callable[..., Plan]) -> Plan:
    """One replica on one slot of this host."""
    stage = Stage(offer_id=SLOT, machine_index=0, gpu_name="cpu-slot", tensor_parallel=1, num_layers=8)
    replica = PlannedReplica(
        id="r1",
        model_id="demo",
        phase=Phase.MIXED,
        configuration_id="demo/tp1",
        stages=(PlannedStage(machine_id="m1", stage=stage),),
        shares={"p128-o64": 1.0, "p1024-o256": 1.0},
        requests_per_s=1.0,
        kv_tokens=32_768,
        max_num_seqs=16,
        max_num_batched_tokens=2048,
        engine_args={"max-model-len": "4096", "kv-cache-memory-bytes": "268435456"},
    )
    machine = PlannedMachine(id="m1", offer_id=SLOT, usd_per_hour=0.02)
    return replace(make_plan(), machines=(machine,), replicas=(replica,), usd_per_hour=0.02)


@pytest.fixture
def deployment(
    make_plan_request: Callable[..., PlanRequest],
    local_plan: Plan,
    served_model: ServedModel,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> Deployment:
    """A live deployment with one shard."""
    cloud, clock = FakeCloud(), FakeClock(now=now)
    monkeypatch.setitem(selectors.read_shard_log.__kwdefaults__, "access", cloud.build_access())
    ServedModel.objects.create(
        slug="demo", name="Demo", config=served_model.config, weights_path="/models/demo", created_at=now
    )
    request = make_plan_request(
        PlanState.APPROVED, plan=local_plan, model_slug="demo", budget_usd_per_hour=Decimal("0.04")
    )
    row = apply_plan(plan_request_id=request.pk, now=now, access=cloud.build_access())
    assert row is not None
    reconcile_deployment(
        deployment_id=row.pk, watch_s=10.0, access=cloud.build_access(), clock=clock, sleep=clock.sleep
    )
    row.refresh_from_db()
    assert row.state == "live"
    return row


@pytest.fixture
def fill(deployment: Deployment, now: datetime) -> Callable[[str], str]:
    """Put the identities of the deployment's shard and key into a path."""
    key, _ = services.create_gateway_key(actor=None, deployment_name="chat", key_name="old", now=now)
    shard = deployment.shards.get()
    return lambda path: path.format(shard=shard.shard_id, key=key.pk)


class TestActors:
    @pytest.mark.parametrize("path", READS)
    def test_reading_is_closed_to_strangers(self, call: Call, fill: Any, path: str) -> None:
        response = call(None, "GET", fill(path))
        assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthenticated")

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("path", READS)
    def test_reading_is_open_to_every_role(
        self, call: Call, fill: Any, request: pytest.FixtureRequest, path: str, role: str
    ) -> None:
        assert call(request.getfixturevalue(role), "GET", fill(path)).status_code == 200

    @pytest.mark.parametrize("role", [None, "viewer"])
    @pytest.mark.parametrize(("method", "path", "body", "_status"), CHANGES)
    def test_changing_is_refused_and_changes_nothing(
        self,
        call: Call,
        fill: Any,
        request: pytest.FixtureRequest,
        deployment: Deployment,
        method: str,
        path: str,
        body: object,
        _status: int,
        role: str | None,
    ) -> None:
        actor = request.getfixturevalue(role) if role else None
        num_audits = AuditEntry.objects.exclude(action="api-token.create").count()
        response = call(actor, method, fill(path), body)
        assert response.status_code == (403 if role else 401)
        deployment.refresh_from_db()
        assert (deployment.state, deployment.has_background_traffic) == ("live", False)
        assert GatewayKey.objects.get().revoked_at is None
        assert AuditEntry.objects.exclude(action="api-token.create").count() == num_audits

    @pytest.mark.parametrize("role", OPERATORS)
    @pytest.mark.parametrize(("method", "path", "body", "status"), CHANGES)
    def test_changing_is_open_to_operators(
        self,
        call: Call,
        fill: Any,
        request: pytest.FixtureRequest,
        method: str,
        path: str,
        body: object,
        status: int,
        role: str,
    ) -> None:
        actor = request.getfixturevalue(role)
        assert call(actor, method, fill(path), body).status_code == status
        assert AuditEntry.objects.exclude(action="api-token.create").latest("pk").actor == actor

    @pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("planner", 403), ("approver", 403), ("admin", 200)])
    def test_only_admins_set_the_spend_limit(
        self, call: Call, deployment: Deployment, request: pytest.FixtureRequest, role: str, status: int
    ) -> None:
        body = {"spend_limit_usd": "12.5"}
        response = call(request.getfixturevalue(role), "PUT", "/deployments/chat/spend-limit", body)
        assert response.status_code == status
        deployment.refresh_from_db()
        assert deployment.spend_limit_usd == (Decimal("12.5") if status == 200 else None)


class TestAnswers:
    def test_list_deployments_as_the_command_shows_them(
        self, call: Call, viewer: User, deployment: Deployment, settings: Any
    ) -> None:
        shard = deployment.shards.get()
        assert call(viewer, "GET", "/deployments").json() == [
            {
                "name": "chat",
                "state": "live",
                "model": "demo",
                "gateway_url": settings.MEDLEY_GATEWAY_URL,
                "usd_per_hour": 0.02,
                "shards": [{"id": shard.shard_id, "state": "ready", "port": shard.port}],
            }
        ]

    def test_show_one_deployment_with_its_money(self, call: Call, viewer: User, deployment: Deployment) -> None:
        data = call(viewer, "GET", "/deployments/chat").json()
        assert (data["state"], data["plan_state"], data["workload"]) == ("live", "live", "mix")
        assert data["ledger"]["committed_usd_per_hour"] == 0.02
        assert data["ledger"]["budget_usd_per_hour"] == 0.04
        assert [machine["state"] for machine in data["machines"]] == ["ready"]
        assert data["prediction"]["requests_per_s"] == 10.0
        assert data["slo"] == {"ttft_s": 2.0, "tpot_s": 0.1, "e2e_s": None, "percentile": 90.0}

    def test_show_no_secret(self, call: Call, admin: User, fill: Any) -> None:
        text = call(admin, "GET", "/deployments/chat").content.decode()
        assert "PRIVATE KEY" not in text
        assert GatewayKey.objects.get().key_hash not in text

    def test_give_a_new_key_once(self, call: Call, planner: User, deployment: Deployment) -> None:
        data = call(planner, "POST", "/deployments/chat/keys", {"name": "ci"}).json()
        row = GatewayKey.objects.get(pk=data["id"])
        assert data["key"].startswith(row.prefix)
        assert set(data) == {"id", "key"}

    def test_show_the_state_after_a_stop(self, call: Call, planner: User, deployment: Deployment) -> None:
        assert call(planner, "POST", "/deployments/chat/stop").json() == {
            "name": "chat",
            "state": "stopping",
            "state_reason": "stopped by planner",
        }

    def test_give_the_end_of_a_log(self, call: Call, viewer: User, deployment: Deployment) -> None:
        shard_id = deployment.shards.get().shard_id
        data = call(viewer, "GET", f"/deployments/chat/shards/{shard_id}/log?tail=2").json()
        assert data == {"shard_id": shard_id, "lines": ["line 4", "line 5"]}


class TestBadInput:
    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "field"),
        [
            ("GET", "/deployments/nope", None, 404, "name"),
            ("POST", "/deployments/nope/stop", None, 404, "name"),
            ("POST", "/deployments/nope/keys", {"name": "ci"}, 404, "name"),
            ("DELETE", "/deployments/chat/keys/999999", None, 404, "key_id"),
            ("GET", "/deployments/chat/shards/nope/log", None, 404, "shard_id"),
            ("POST", "/deployments/chat/keys", {"name": ""}, 422, "name"),
            ("POST", "/deployments/chat/keys", {"name": "  "}, 422, "name"),
            ("POST", "/deployments/chat/keys", {"name": "ci", "more": 1}, 422, "more"),
            ("PUT", "/deployments/chat/background-traffic", {}, 422, "is_on"),
            ("PUT", "/deployments/chat/spend-limit", {"spend_limit_usd": 0}, 422, "spend_limit_usd"),
            ("GET", "/deployments/chat/shards/x/log?tail=-1", None, 422, "tail"),
        ],
    )
    def test_is_refused_by_the_name_of_its_field(
        self, call: Call, admin: User, fill: Any, method: str, path: str, body: object, status: int, field: str
    ) -> None:
        response = call(admin, method, path, body)
        assert (response.status_code, response.json()["error"]["field"]) == (status, field)
