"""REST of the market: every kind of actor, filters, refusals."""

import json
from datetime import UTC, datetime

import pytest
from django.test import Client

from engine.domain.offer import Market, Offer, define_offer_id
from webapp.core import tokens
from webapp.core.models import AuditEntry, User
from webapp.market import services
from webapp.market.models import MarketImport, OfferObservation

pytestmark = pytest.mark.django_db
_URLS = ("/api/v1/offers", "/api/v1/offers/choices", "/api/v1/market/imports")
_CSV = (
    "provider,region,instance_type,gpu,gpu_count,market,usd_per_hour,source,observed_at\n"
    "aws,us-east-1,p5.48xlarge,H100,8,on_demand,55.04,list,2026-07-20\n"
    "aws,us-east-1,p4d.24xlarge,A100-40,0,on_demand,21.96,list,2026-07-20\n"
)


def _define_offer(instance_type: str, gpu_name: str, gpu_count: int, usd_per_hour: float) -> Offer:
    return Offer(
        id=define_offer_id(provider="aws", region="r", zone="", instance_type=instance_type, market=Market.ON_DEMAND),
        provider="aws",
        region="r",
        instance_type=instance_type,
        gpu_name=gpu_name,
        gpu_count=gpu_count,
        usd_per_hour=usd_per_hour,
        market=Market.ON_DEMAND,
        available_count=None,
        source="price list",
        observed_at=datetime(2026, 11, 24, 10, 0, tzinfo=UTC),
    )


@pytest.fixture
def offers(db: None, now: datetime) -> None:
    """Two offers."""
    found = (_define_offer("p5", "H100", 8, 40.0), _define_offer("g6", "L4", 1, 0.8))
    services.load_offers(source="test", offers=found, refused=(), now=now)


def _sign(user: User, now: datetime) -> dict[str, str]:
    _, plaintext = tokens.create_token(actor=None, user=user, name="test", now=now)
    return {"Authorization": f"Bearer {plaintext}"}


@pytest.mark.usefixtures("offers")
class TestReading:
    """Reading the market..."""

    @pytest.mark.parametrize("url", _URLS)
    def test_is_closed_to_strangers(self, client: Client, url: str) -> None:
        response = client.get(url)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "unauthenticated"

    @pytest.mark.parametrize("url", _URLS)
    @pytest.mark.parametrize("role", ["viewer", "planner", "approver", "admin"])
    def test_is_open_to_every_role(
        self, client: Client, url: str, role: str, request: pytest.FixtureRequest, now: datetime
    ) -> None:
        user = request.getfixturevalue(role)
        assert client.get(url, headers=_sign(user, now)).status_code == 200

    def test_is_open_to_a_signed_in_browser(self, client: Client, viewer: User) -> None:
        client.force_login(viewer)
        assert client.get("/api/v1/offers").status_code == 200

    def test_is_closed_to_people_who_were_switched_off(self, client: Client, viewer: User, now: datetime) -> None:
        headers = _sign(viewer, now)
        viewer.is_active = False
        viewer.save()
        assert client.get("/api/v1/offers", headers=headers).status_code == 401

    def test_is_closed_to_a_revoked_token(self, client: Client, viewer: User, now: datetime) -> None:
        token, plaintext = tokens.create_token(actor=None, user=viewer, name="test", now=now)
        tokens.revoke_token(actor=None, token_id=token.pk, now=now)
        response = client.get("/api/v1/offers", headers={"Authorization": f"Bearer {plaintext}"})
        assert response.status_code == 401


@pytest.mark.usefixtures("offers")
class TestListOffers:
    """`GET /offers`..."""

    def test_gives_each_offer_as_last_seen(self, client: Client, viewer: User, now: datetime) -> None:
        body = client.get("/api/v1/offers", headers=_sign(viewer, now)).json()
        assert [offer["offer_id"] for offer in body] == ["aws:r:g6:on_demand", "aws:r:p5:on_demand"]
        assert body[1].pop("age_s") > 0
        assert body[1] == {
            "offer_id": "aws:r:p5:on_demand",
            "provider": "aws",
            "region": "r",
            "zone": "",
            "instance_type": "p5",
            "gpu_name": "H100",
            "gpu_count": 8,
            "market": "on_demand",
            "usd_per_hour": 40.0,
            "usd_per_gpu_hour": 5.0,
            "available_count": None,
            "interruption_class": None,
            "source": "price list",
            "observed_at": "2026-11-24T10:00:00Z",
        }

    def test_takes_filters_and_order(self, client: Client, viewer: User, now: datetime) -> None:
        headers = _sign(viewer, now)

        def list_types(query: str) -> list[str]:
            return [offer["instance_type"] for offer in client.get(f"/api/v1/offers?{query}", headers=headers).json()]

        assert list_types("gpu=H100") == ["p5"]
        assert list_types("max_usd_per_gpu_hour=4.99") == ["g6"]
        assert list_types("max_usd_per_hour=40") == ["g6", "p5"]
        assert list_types("sort=gpu") == ["p5", "g6"]
        assert list_types("descending=true") == ["p5", "g6"]
        assert list_types("provider=gcp") == []

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("market=auction", "market"),
            ("sort=luck", "sort"),
            ("max_usd_per_hour=0", "max_usd_per_hour"),
            ("max_usd_per_gpu_hour=NaN", "max_usd_per_gpu_hour"),
            ("gpu=" + "x" * 33, "gpu"),
            ("colour=red", "colour"),
        ],
    )
    def test_names_the_field_it_refuses(
        self, client: Client, viewer: User, now: datetime, query: str, field: str
    ) -> None:
        response = client.get(f"/api/v1/offers?{query}", headers=_sign(viewer, now))
        assert response.status_code == 422
        assert response.json()["error"]["field"].split(".")[-1] == field


@pytest.mark.usefixtures("offers")
class TestGetChoices:
    """`GET /offers/choices`..."""

    def test_gives_what_occurs(self, client: Client, viewer: User, now: datetime) -> None:
        body = client.get("/api/v1/offers/choices", headers=_sign(viewer, now)).json()
        assert body == {"gpu_names": ["H100", "L4"], "providers": ["aws"], "regions": ["r"], "markets": ["on_demand"]}


class TestImportOffers:
    """`POST /market/imports`..."""

    def _post(self, client: Client, body: object, headers: dict[str, str]) -> tuple[int, dict[str, object]]:
        response = client.post(
            "/api/v1/market/imports", data=json.dumps(body), content_type="application/json", headers=headers
        )
        return response.status_code, response.json()

    def test_loads_good_rows_and_reports_the_others(self, client: Client, admin: User, now: datetime) -> None:
        status, body = self._post(client, {"source": "mine", "csv_text": _CSV}, _sign(admin, now))
        assert status == 201
        assert (body["source"], body["num_loaded"], body["num_unchanged"]) == ("mine", 1, 0)
        assert body["refused"] == [
            {"row": 3, "field": "gpu_count", "message": "gpu_count is 0; it must be at least 1 and at most 1000000"}
        ]
        listed = client.get("/api/v1/market/imports", headers=_sign(admin, now)).json()
        assert [row["id"] for row in listed] == [body["id"]]

    @pytest.mark.parametrize("role", ["viewer", "planner", "approver"])
    def test_is_refused_to_other_roles_and_changes_nothing(
        self, client: Client, role: str, request: pytest.FixtureRequest, now: datetime
    ) -> None:
        headers = _sign(request.getfixturevalue(role), now)
        num_audited = AuditEntry.objects.count()
        status, body = self._post(client, {"source": "mine", "csv_text": _CSV}, headers)
        assert status == 403
        assert body["error"]["code"] == "forbidden"  # type: ignore[index]
        assert (MarketImport.objects.count(), OfferObservation.objects.count()) == (0, 0)
        assert AuditEntry.objects.count() == num_audited

    def test_is_refused_to_strangers(self, client: Client) -> None:
        status, _ = self._post(client, {"source": "mine", "csv_text": _CSV}, {})
        assert (status, MarketImport.objects.count()) == (401, 0)

    def test_needs_the_csrf_token_from_a_browser(self, admin: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin)
        status, _ = self._post(client, {"source": "mine", "csv_text": _CSV}, {})
        assert (status, MarketImport.objects.count()) == (403, 0)

    def test_says_what_a_table_lacks(self, client: Client, admin: User, now: datetime) -> None:
        status, body = self._post(client, {"source": "mine", "csv_text": "a,b\n"}, _sign(admin, now))
        assert status == 422
        assert body["error"] == {
            "code": "invalid_offer_table",
            "message": "the table has no column 'provider'",
            "field": "provider",
            "remedy": "the first line must name provider, region, instance_type, gpu, gpu_count, market, usd_per_hour,"
            " source, observed_at",
        }

    @pytest.mark.parametrize(
        "body", [{"source": "", "csv_text": _CSV}, {"source": "x"}, {"source": "x", "csv_text": _CSV, "more": 1}]
    )
    def test_refuses_other_bodies(self, client: Client, admin: User, now: datetime, body: object) -> None:
        status, _ = self._post(client, body, _sign(admin, now))
        assert (status, MarketImport.objects.count()) == (422, 0)
