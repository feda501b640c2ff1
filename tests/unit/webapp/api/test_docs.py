"""The description of REST v1: for people who are signed in."""

import pytest
from django.test import Client

from webapp.core.models import User

pytestmark = pytest.mark.django_db
_URLS = ("/api/v1/docs", "/api/v1/openapi.json")


class TestDocs:
    @pytest.mark.parametrize("url", _URLS)
    def test_send_strangers_to_sign_in(self, client: Client, url: str) -> None:
        answer = client.get(url)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/login/?next={url}")

    @pytest.mark.parametrize("url", _URLS)
    def test_answer_people_who_are_signed_in(self, client: Client, viewer: User, url: str) -> None:
        client.force_login(viewer)
        assert client.get(url).status_code == 200
