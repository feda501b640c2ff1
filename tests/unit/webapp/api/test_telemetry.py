"""REST of telemetry."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tests.support.telemetry import create_deployment, define_point
from webapp.core import tokens
from webapp.core.models import User
from webapp.telemetry.points import point_to_row

pytestmark = pytest.mark.django_db
_URL = "/api/v1/deployments/demo/telemetry"


def _sign(user: User) -> dict[str, str]:
    _, plaintext = tokens.create_token(actor=None, user=user, name="test", now=timezone.now())
    return {"Authorization": f"Bearer {plaintext}"}


class TestGetTelemetry:
    """`GET /deployments/{name}/telemetry`..."""

    @pytest.mark.parametrize("role", ["viewer", "planner", "approver", "admin"])
    def test_is_open_to_every_role(self, client: Client, role: str, request: pytest.FixtureRequest) -> None:
        create_deployment()
        user = request.getfixturevalue(role)
        assert client.get(_URL, headers=_sign(user)).status_code == 200

    def test_is_closed_to_strangers(self, client: Client) -> None:
        create_deployment()
        assert client.get(_URL).status_code == 401

    def test_gives_the_window_asked_for(self, client: Client, viewer: User) -> None:
        deployment = create_deployment()
        now = timezone.now()
        for age_s in (5, 100):
            point = define_point(num_requests=age_s, sampled_at=now - timedelta(seconds=age_s), ttft_p50_s=0.5)
            point_to_row(point, deployment_id=deployment.pk).save()
        headers = _sign(viewer)
        assert client.get(f"{_URL}?window_s=60", headers=headers).json()["num_requests"] == [5]
        body = client.get(_URL, headers=headers).json()
        assert body["num_requests"] == [100, 5]
        assert body["ttft_p50_s"] == [0.5, 0.5]
        assert body["tpot_p90_s"] == [None, None]

    @pytest.mark.parametrize("window_s", ["9", "2592001", "NaN", "soon", "-1"])
    def test_names_the_field_it_refuses(self, client: Client, viewer: User, window_s: str) -> None:
        create_deployment()
        response = client.get(f"{_URL}?window_s={window_s}", headers=_sign(viewer))
        assert response.status_code == 422
        assert response.json()["error"]["field"].endswith("window_s")

    def test_does_not_find_other_deployments(self, client: Client, viewer: User) -> None:
        response = client.get("/api/v1/deployments/none/telemetry", headers=_sign(viewer))
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"
