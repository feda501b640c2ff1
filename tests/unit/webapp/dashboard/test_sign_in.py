"""Signing in and out, and the pages for what went wrong outside a view."""

from typing import Any

from django.test import Client, RequestFactory

from webapp.core.models import User
from webapp.dashboard.pages import CONTENT_SECURITY_POLICY
from webapp.dashboard.views import errors


class TestSignIn:
    def test_leads_to_where_one_wanted_to_go(self, client: Client, viewer: User) -> None:
        fields = {"username": "viewer", "password": "a-long-password", "next": "/market/"}
        assert client.post("/login/", fields).headers["Location"] == "/market/"

    def test_leads_nowhere_else(self, client: Client, viewer: User) -> None:
        fields = {"username": "viewer", "password": "a-long-password", "next": "https://elsewhere.example/"}
        assert client.post("/login/", fields).headers["Location"] == "/"

    def test_refuses_a_wrong_password(self, client: Client, viewer: User) -> None:
        response = client.post("/login/", {"username": "viewer", "password": "wrong"})
        assert response.status_code == 200
        assert "Please enter a correct username and password" in response.content.decode()

    def test_allows_no_foreign_request(self, client: Client, db: None) -> None:
        assert client.get("/login/").headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY

    def test_sends_people_on_who_are_signed_in(self, browse: Any, viewer: User) -> None:
        assert browse(viewer).get("/login/").headers["Location"] == "/"

    def test_ends_with_signing_out(self, browse: Any, viewer: User) -> None:
        client = browse(viewer)
        assert client.post("/logout/").headers["Location"] == "/login/"
        assert client.get("/").status_code == 302


class TestErrors:
    def test_unknown_address(self, client: Client, db: None) -> None:
        response = client.get("/nowhere/")
        assert response.status_code == 404
        assert "There is nothing here" in response.content.decode()

    def test_unknown_address_of_the_rest_api_answers_json(self, client: Client, db: None) -> None:
        response = client.get("/api/nowhere")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"

    def test_failure_needs_no_session_and_no_database(self) -> None:
        response = errors.show_server_error(RequestFactory().get("/"))
        assert response.status_code == 500
        assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY

    def test_bad_and_forbidden_requests_say_so(self) -> None:
        request = RequestFactory().get("/")
        assert errors.show_bad_request(request).status_code == 400
        assert errors.show_forbidden(request).status_code == 403
