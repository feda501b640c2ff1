"""REST of the routing table: for gateways only, once per version."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from engine.domain.codec import json_to_value
from engine.routing.table import RoutingTable
from webapp.core import tokens
from webapp.core.models import User
from webapp.deployments.routes import build_routing_table

pytestmark = pytest.mark.django_db
GATEWAY_TOKEN = "gateway-secret"
URL = "/api/v1/gateway/routing-table"


@pytest.fixture(autouse=True)
def gateway_token(settings: Any) -> None:
    """The token that gateways know."""
    settings.MEDLEY_GATEWAY_TOKEN = GATEWAY_TOKEN


def ask(client: Client, token: str = GATEWAY_TOKEN, **headers: str) -> HttpResponse:
    return client.get(URL, headers={"Authorization": f"Bearer {token}", **headers})


class TestRoutingTable:
    @pytest.mark.parametrize("token", ["", "wrong", "gateway-secret ", "gateway-secrét"])
    def test_is_closed_to_whoever_lacks_the_token(self, client: Client, token: str) -> None:
        assert ask(client, token).status_code == 401

    def test_is_closed_to_people(self, client: Client, admin: User, now: Any) -> None:
        _, plaintext = tokens.create_token(actor=None, user=admin, name="test", now=now)
        assert ask(client, plaintext).status_code == 401
        client.force_login(admin)
        assert client.get(URL).status_code == 401

    def test_comes_as_the_engines_value(self, client: Client) -> None:
        response = ask(client)
        table = build_routing_table()
        assert json_to_value(RoutingTable, response.json()) == table
        assert response.headers["ETag"] == f'"{table.version}"'

    def test_comes_once_per_version(self, client: Client) -> None:
        etag = ask(client).headers["ETag"]
        again = ask(client, **{"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert ask(client, **{"If-None-Match": '"other"'}).status_code == 200
