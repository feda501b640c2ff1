"""A program that calls REST v1."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.http import HttpResponse
from django.test import Client

from webapp.core import tokens
from webapp.core.models import User

Call = Callable[..., HttpResponse]


@pytest.fixture
def call(client: Client, now: datetime) -> Call:
    """Call the API as a user (None: a stranger); a body makes it a POST."""

    def send(user: User | None, path: str, body: object = None) -> HttpResponse:
        headers = {}
        if user is not None:
            _, plaintext = tokens.create_token(actor=None, user=user, name="test", now=now)
            headers = {"Authorization": f"Bearer {plaintext}"}
        if body is None:
            return client.get(f"/api/v1{path}", headers=headers)
        return client.post(f"/api/v1{path}", body, content_type="application/json", headers=headers)

    return send
