"""The market page: filters in the address, order, loads with their refused rows, and loading a table."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from webapp.core.models import User
from webapp.market import services
from webapp.market.models import MarketImport, OfferObservation
from webapp.planning.models import PlanRequest

_HEADER = "provider,region,instance_type,gpu,gpu_count,market,usd_per_hour,source,observed_at\n"
_GOOD = "aws,us-east-1,p4d.24xlarge,A100-40,8,on_demand,32.77,price list,2026-11-20\n"
_FREE = "aws,us-east-1,g4dn.xlarge,T4,1,on_demand,0,price list,2026-11-20\n"


@pytest.fixture
def visitor(browse: Any, viewer: User, market: object) -> Client:
    """The market as a viewer sees it."""
    return browse(viewer)


def _list_types(client: Client, query: str = "") -> list[str]:
    return [offer.instance_type for offer in client.get(f"/market/{query}").context["page"].offers]


def _upload(client: Client, text: str, source: str = "May") -> Any:
    return client.post("/market/import/", {"source": source, "file": SimpleUploadedFile("o.csv", text.encode())})


class TestOffers:
    def test_are_ordered_by_price_per_gpu_at_first(self, visitor: Client) -> None:
        assert _list_types(visitor) == ["cpu-slot", "L4", "p5.48xlarge"]

    @pytest.mark.parametrize(
        ("query", "types"),
        [
            ("?gpu=H100", ["p5.48xlarge"]),
            ("?provider=runpod", ["L4"]),
            ("?region=this-host", ["cpu-slot"]),
            ("?market=spot", ["L4"]),
            ("?max_price=0.25", ["cpu-slot", "L4"]),
            ("?sort=usd_per_hour&descending=1", ["p5.48xlarge", "L4", "cpu-slot"]),
            ("?sort=provider", ["p5.48xlarge", "cpu-slot", "L4"]),
            ("?gpu=H100&provider=runpod", []),
        ],
    )
    def test_follow_the_filters_of_the_address(self, visitor: Client, query: str, types: list[str]) -> None:
        assert _list_types(visitor, query) == types

    @pytest.mark.parametrize(
        "query",
        ["?sort=nonsense", "?page=99", "?page=x", "?page=-1", f"?page={'9' * 5000}", "?descending=2"],
        ids=lambda query: query[:12],
    )
    def test_survive_an_address_that_makes_no_sense(self, visitor: Client, query: str) -> None:
        assert _list_types(visitor, query) == ["cpu-slot", "L4", "p5.48xlarge"]

    def test_name_a_filter_value_that_cannot_be_used(self, visitor: Client) -> None:
        text = visitor.get("/market/?max_price=cheap").content.decode()
        assert "Enter a number." in text

    def test_show_price_age_and_source(self, visitor: Client) -> None:
        text = visitor.get("/market/?gpu=H100").content.decode()
        assert "$5.00" in text
        assert "$40.00" in text
        assert "price list" in text
        assert "8 × H100" in text

    def test_come_in_pages(self, visitor: Client, load_offer: Any) -> None:
        for number in range(60):
            load_offer(instance_type=f"type-{number:02}")
        first, second = (visitor.get(f"/market/?page={number}").context["page"] for number in (1, 2))
        assert (len(first.offers), first.first, first.last, first.num_pages) == (50, 1, 50, 2)
        assert (len(second.offers), second.first, second.last) == (13, 51, 63)

    def test_say_what_to_do_when_none_passes(self, visitor: Client) -> None:
        assert "No offer passes these filters" in visitor.get("/market/?gpu=L4&market=on_demand").content.decode()

    def test_need_no_more_queries_for_more_offers(
        self, visitor: Client, load_offer: Any, django_assert_num_queries: Any
    ) -> None:
        for number in range(20):
            load_offer(instance_type=f"type-{number:02}")
        with django_assert_num_queries(9):
            visitor.get("/market/")


class TestImport:
    def test_loads_good_rows_and_lists_the_others(self, browse: Any, admin: User, market: object) -> None:
        client = browse(admin)
        response = _upload(client, _HEADER + _GOOD + _FREE)
        assert response.status_code == 302
        load = MarketImport.objects.order_by("-pk")[0]
        assert (load.source, load.num_loaded, len(load.refused)) == ("May", 1, 1)
        text = client.get("/market/").content.decode()
        assert "1 observations loaded, 0 unchanged, 1 refused." in text
        assert "Row 3" in text

    def test_makes_one_call(self, browse: Any, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[dict[str, Any]] = []
        load = MarketImport(num_loaded=3, num_unchanged=0, refused=[])
        monkeypatch.setattr(services, "import_offer_table", lambda **given: calls.append(given) or load)
        _upload(browse(admin), _HEADER)
        assert [(call["actor"], call["name"], call["csv_text"]) for call in calls] == [(admin, "May", _HEADER)]

    def test_shows_what_is_wrong_with_the_table_beside_the_file(self, browse: Any, admin: User, db: None) -> None:
        response = _upload(browse(admin), "provider,region\naws,us-east-1\n")
        assert response.status_code == 422
        assert "instance_type" in response.context["import_form"].errors["file"][0]
        assert OfferObservation.objects.count() == 0

    def test_refuses_a_file_that_is_no_text(self, browse: Any, admin: User, db: None) -> None:
        file = SimpleUploadedFile("o.csv", b"\xff\xfe\x00")
        response = browse(admin).post("/market/import/", {"source": "May", "file": file})
        assert response.status_code == 422
        assert response.context["import_form"].errors["file"] == ["O.csv is not text in UTF-8: save it as UTF-8."]

    def test_asks_for_what_is_missing(self, browse: Any, admin: User, db: None) -> None:
        response = browse(admin).post("/market/import/", {})
        assert response.status_code == 422
        assert set(response.context["import_form"].errors) == {"source", "file"}
        assert PlanRequest.objects.count() == 0
