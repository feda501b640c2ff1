"""Home: what runs, what waits, the market's freshness, this host, and the first steps when all is empty."""

import json
from datetime import datetime
from typing import Any

import pytest
from django.conf import settings

from webapp.core.models import User
from webapp.deployments.models import Deployment
from webapp.planning.models import PlanRequest


class TestHome:
    def test_begins_with_the_first_steps(self, browse: Any, viewer: User) -> None:
        text = browse(viewer).get("/").content.decode()
        assert "From a budget to a running model" in text
        assert "Nothing is deployed" in text

    def test_shows_what_runs_and_what_it_costs(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        response = browse(viewer).get("/")
        overview = response.context["overview"]
        assert (overview.num_live, overview.usd_per_hour, overview.output_tokens_per_s) == (1, 40, 0.0)
        assert [item.num_ready for item in overview.deployments] == [1]
        assert "From a budget to a running model" not in response.content.decode()

    def test_counts_stopped_ones_apart(self, browse: Any, viewer: User, deployment: Deployment) -> None:
        Deployment.objects.update(state="stopped")
        deployment.machines.update(state="released")
        overview = browse(viewer).get("/").context["overview"]
        assert (len(overview.deployments), overview.num_stopped) == (0, 1)

    def test_shows_what_waits_for_approval(self, browse: Any, viewer: User, awaiting: PlanRequest) -> None:
        assert [item.id for item in browse(viewer).get("/").context["overview"].awaiting] == [awaiting.pk]

    def test_shows_the_market(self, browse: Any, viewer: User, market: object) -> None:
        offers = browse(viewer).get("/").context["overview"].offers
        assert (offers.num_offers, offers.num_providers) == (3, 3)

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            ("ready", "vLLM is installed"),
            ("installing", "vLLM is being installed: downloading wheels."),
            ("failed", "no AVX2"),
        ],
    )
    def test_says_whether_this_host_can_serve(
        self, browse: Any, viewer: User, tmp_path: Any, now: datetime, state: str, words: str
    ) -> None:
        progress = {"state": state, "step": "downloading wheels", "reason": "no AVX2", "updated_at": now.isoformat()}
        (tmp_path / "vllm-install.json").write_text(json.dumps(progress))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(settings, "MEDLEY_HOME", tmp_path)
            assert words in browse(viewer).get("/").content.decode()

    def test_links_only_staff_to_the_admin(self, browse: Any, viewer: User, admin: User) -> None:
        assert 'href="/admin/"' in browse(admin).get("/").content.decode()
        assert 'href="/admin/"' not in browse(viewer).get("/").content.decode()
