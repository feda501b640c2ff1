"""Deployments: the list, the page with money and charts, and every action as one call."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine.errors import UnavailableError
from webapp.core.models import User
from webapp.deployments import selectors, services
from webapp.deployments.models import Deployment, GatewayKey
from webapp.planning.models import PlanRequest
from webapp.telemetry.models import DeploymentSample


class TestList:
    def test_shows_states_and_shards(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        text = browse(viewer).get("/deployments/").content.decode()
        for words in ("chat", "Live", "Ready", "$40.00", "http://127.0.0.1:8401"):
            assert words in text

    def test_explains_an_empty_list(self, browse: Any, viewer: User) -> None:
        assert "Nothing was deployed yet" in browse(viewer).get("/deployments/").content.decode()


class TestPage:
    def test_shows_machines_shards_and_money(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        text = browse(viewer).get("/deployments/chat/").content.decode()
        for words in (
            "chat-r1-12345678",
            "50001",
            "aws:us-east-1:p5.48xlarge:on_demand",
            "budget $100.00",
            "mdk_abcdefgh",
        ):
            assert words in text

    def test_says_at_which_percentile_the_slo_binds(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        PlanRequest.objects.update(slo_ttft_s=2.0, slo_tpot_s=None, slo_e2e_s=30.0, slo_percentile=95.0)
        text = browse(viewer).get("/deployments/chat/").content.decode()
        for key, words in (("ttft", "SLO 2 s at p95"), ("tpot", "no bound"), ("e2e", "SLO 30 s at p95")):
            figure = text.partition(f'data-live-latency="{key}_p90_s"')[2].partition("</div>")[0]
            assert words in figure

    def test_draws_every_latency(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        text = browse(viewer).get("/deployments/chat/").content.decode()
        names = re.findall(r'data-chart="(\w+)"', text)
        assert names == ["throughput", "requests", "ttft", "tpot", "e2e", "queue", "kv"]

    def test_says_how_to_use_it(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        page = browse(viewer).get("/deployments/chat/").context["page"]
        assert "curl -N http://127.0.0.1:8401/v1/chat/completions" in page.curl
        assert 'base_url="http://127.0.0.1:8401/v1"' in page.python
        assert '"model": "llama-8b"' in page.curl

    def test_gives_the_charts_slo_and_plan(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        lines = browse(viewer).get("/deployments/chat/").context["page"].chart["lines"]
        assert (lines["slo_ttft_s"], lines["slo_tpot_s"], lines["slo_e2e_s"]) == (2.0, 0.1, None)
        assert (lines["plan_ttft_s"], lines["plan_tpot_s"]) == (0.4, 0.024)
        assert (lines["plan_output_tokens_per_s"], lines["plan_requests_per_s"]) == (1120.0, 10.0)

    def test_lets_money_run_at_the_price_of_what_is_rented(
        self, browse: Any, viewer: User, deployment: Deployment
    ) -> None:
        client = browse(viewer)
        assert 'data-usd-per-hour="40.000000"' in client.get("/deployments/chat/").content.decode()
        deployment.machines.update(state="reserved")
        assert 'data-usd-per-hour="0"' in client.get("/deployments/chat/").content.decode()

    def test_follows_its_topic(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        text = browse(viewer).get("/deployments/chat/").content.decode()
        assert 'data-live="deployment:chat"' in text
        assert 'data-live-after="' in text

    def test_offers_no_action_to_who_may_not(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        text = browse(viewer).get("/deployments/chat/").content.decode()
        for words in ("/stop/", "/traffic/", "/keys/"):
            assert words not in text

    def test_is_not_found_under_another_name(self, browse: Any, viewer: User) -> None:
        response = browse(viewer).get("/deployments/nobody/")
        assert response.status_code == 404
        assert "There is no deployment nobody" in response.content.decode()

    def test_needs_few_queries(
        self, browse: Any, viewer: User, deployment: Deployment, django_assert_max_num_queries: Any
    ) -> None:
        client = browse(viewer)
        with django_assert_max_num_queries(20):
            client.get("/deployments/chat/")


class TestSeries:
    @pytest.mark.parametrize(
        ("query", "window_s"),
        [
            ("", 300),
            ("?window_s=3600", 3600),
            ("?window_s=x", 300),
            ("?window_s=99999999", 300),
            (f"?window_s={'9' * 5000}", 300),
        ],
        ids=["default", "hour", "word", "month", "endless"],
    )
    def test_covers_the_window_that_was_asked_for(
        self, browse: Any, viewer: User, deployment: Deployment, query: str, window_s: int
    ) -> None:
        series = browse(viewer).get(f"/deployments/chat/series.json{query}").json()
        span = datetime.fromisoformat(series["until"]) - datetime.fromisoformat(series["since"])
        assert span == timedelta(seconds=window_s)

    def test_holds_what_was_measured(
        self, browse: Any, viewer: User, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, now: datetime
    ) -> None:
        monkeypatch.setattr("django.utils.timezone.now", lambda: now)
        DeploymentSample.objects.create(
            deployment=deployment,
            sampled_at=now - timedelta(seconds=4),
            interval_s=2,
            num_requests=3,
            num_failed=0,
            num_cancelled=0,
            num_within_slo=3,
            prompt_tokens=30,
            output_tokens=60,
            in_flight=1,
            ttft_p90_s=0.25,
        )
        series = browse(viewer).get("/deployments/chat/series.json").json()
        assert (series["num_requests"], series["ttft_p90_s"]) == ([3], [0.25])


class TestLog:
    def test_shows_the_lines(
        self, browse: Any, viewer: User, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selectors, "read_shard_log", lambda **_given: ["first <line>", "second"])
        text = browse(viewer).get("/deployments/chat/shards/chat-r1-12345678/log/").content.decode()
        assert "first &lt;line&gt;\nsecond" in text

    def test_says_why_there_are_none(
        self, browse: Any, viewer: User, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**_given: object) -> None:
            raise UnavailableError("the agent does not answer")

        monkeypatch.setattr(selectors, "read_shard_log", fail)
        response = browse(viewer).get("/deployments/chat/shards/chat-r1-12345678/log/")
        assert response.status_code == 200
        assert "The agent does not answer." in response.content.decode()

    def test_knows_no_other_shard(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        assert browse(viewer).get("/deployments/chat/shards/other/log/").status_code == 404


class TestActions:
    def test_stop(self, browse: Any, planner: User, deployment: Deployment) -> None:
        response = browse(planner).post("/deployments/chat/stop/", follow=True)
        deployment.refresh_from_db()
        assert deployment.state == "stopping"
        assert "chat is being stopped" in response.content.decode()

    @pytest.mark.parametrize(("value", "is_on"), [("1", True), ("0", False), ("", False)])
    def test_switch_the_traffic(
        self, browse: Any, planner: User, deployment: Deployment, value: str, is_on: bool
    ) -> None:
        Deployment.objects.update(has_background_traffic=not is_on)
        browse(planner).post("/deployments/chat/traffic/", {"is_on": value})
        deployment.refresh_from_db()
        assert deployment.has_background_traffic is is_on

    @pytest.mark.parametrize(
        ("name", "path", "body", "expected"),
        [
            ("stop_deployment", "stop/", {}, {"name": "chat"}),
            ("set_background_traffic", "traffic/", {"is_on": "1"}, {"name": "chat", "is_on": True}),
            ("revoke_gateway_key", "keys/7/revoke/", {}, {"deployment_name": "chat", "key_id": 7}),
        ],
    )
    def test_make_one_call(
        self,
        browse: Any,
        planner: User,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        path: str,
        body: Any,
        expected: Any,
    ) -> None:
        calls: list[dict[str, Any]] = []
        monkeypatch.setattr(services, name, lambda **given: calls.append(given))
        browse(planner).post(f"/deployments/chat/{path}", body)
        (call,) = calls
        del call["now"]
        assert call == {"actor": planner, **expected}

    def test_say_what_was_refused(self, browse: Any, planner: User) -> None:
        response = browse(planner).post("/deployments/nobody/stop/")
        assert response.status_code == 302
        assert response.headers["Location"] == "/deployments/nobody/"


class TestKeys:
    def test_are_shown_once(self, browse: Any, planner: User, deployment: Deployment) -> None:
        client = browse(planner)
        response = client.post("/deployments/chat/keys/", {"name": "bot"})
        plaintext = response.context["plaintext"]
        assert plaintext.startswith("mdk_")
        assert plaintext in response.content.decode()
        assert response.headers["Cache-Control"] == "no-store"
        assert plaintext not in client.get("/deployments/chat/").content.decode()
        assert GatewayKey.objects.filter(name="bot").count() == 1

    def test_need_a_name(self, browse: Any, planner: User, deployment: Deployment) -> None:
        response = browse(planner).post("/deployments/chat/keys/", {"name": " "})
        assert response.status_code == 422
        assert GatewayKey.objects.count() == 1

    def test_are_revoked(self, browse: Any, planner: User, deployment: Deployment) -> None:
        key = GatewayKey.objects.get()
        browse(planner).post(f"/deployments/chat/keys/{key.pk}/revoke/")
        key.refresh_from_db()
        assert key.revoked_at is not None


class TestSpendLimit:
    def test_is_set_and_shown(self, browse: Any, admin: User, deployment: Deployment) -> None:
        response = browse(admin).post("/deployments/chat/spend-limit/", {"spend_limit_usd": "250"}, follow=True)
        deployment.refresh_from_db()
        assert deployment.spend_limit_usd == 250
        assert "$250.00 in all" in response.content.decode()

    def test_is_lifted_by_an_empty_field(self, browse: Any, admin: User, deployment: Deployment) -> None:
        Deployment.objects.update(spend_limit_usd=250)
        browse(admin).post("/deployments/chat/spend-limit/", {"spend_limit_usd": ""})
        deployment.refresh_from_db()
        assert deployment.spend_limit_usd is None

    @pytest.mark.parametrize("text", ["0", "-1", "much", "NaN"])
    def test_refuses_what_is_no_limit_beside_the_field(
        self, browse: Any, admin: User, deployment: Deployment, text: str
    ) -> None:
        response = browse(admin).post("/deployments/chat/spend-limit/", {"spend_limit_usd": text})
        deployment.refresh_from_db()
        assert response.status_code == 422
        assert response.context["limit_form"].errors["spend_limit_usd"]
        assert deployment.spend_limit_usd is None
