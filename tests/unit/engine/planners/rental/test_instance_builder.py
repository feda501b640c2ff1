"""Instances of requests."""

from dataclasses import replace

import pytest

from engine.domain.offer import Market
from engine.domain.plan import Objective
from engine.planners.rental.enumeration import create_catalogue, enumerate_configurations
from engine.planners.rental.instance import RentalInstance
from engine.planners.rental.instance_builder import build_instance, define_class_id, list_demand_rates
from engine.planners.rental.request import RentalRequest
from tests.support.rental_requests import define_demand, define_offer, define_request

OFFERS = (
    define_offer("H100", 1, 3.0, available_count=None),
    define_offer("H100", 8, 12.0, market=Market.SPOT, available_count=2, zone="z"),
)


def build(request: RentalRequest) -> RentalInstance:
    found = enumerate_configurations(request, create_catalogue(request))
    return build_instance(request, found.configurations)


class TestListDemandRates:
    def test_are_shares_of_all_requests_under_the_largest_rate(self) -> None:
        request = define_request(demands=[define_demand("llama-3.1-8b", requests_per_s=7.0)])
        rates = list_demand_rates(request)
        assert sum(rates.values()) == pytest.approx(1.0)
        assert rates["llama-3.1-8b", "p496-o18"] == pytest.approx(0.33)

    def test_are_requests_per_second_under_the_least_cost(self) -> None:
        request = define_request(
            objective=Objective.MIN_COST, demands=[define_demand("llama-3.1-8b", requests_per_s=7.0)]
        )
        assert list_demand_rates(request)["llama-3.1-8b", "p496-o18"] == pytest.approx(0.33 * 7.0)

    def test_weigh_models_by_their_rates(self) -> None:
        demands = [
            define_demand("llama-3.1-8b", requests_per_s=3.0),
            define_demand("llama-3.1-70b", requests_per_s=1.0),
        ]
        rates = list_demand_rates(define_request(demands=demands))
        assert sum(rate for (model, _), rate in rates.items() if model == "llama-3.1-8b") == pytest.approx(0.75)

    def test_weigh_models_equally_without_rates(self) -> None:
        demands = [define_demand(name, requests_per_s=0.0) for name in ("llama-3.1-8b", "llama-3.1-70b")]
        rates = list_demand_rates(define_request(demands=demands))
        assert sum(rate for (model, _), rate in rates.items() if model == "llama-3.1-8b") == pytest.approx(0.5)


class TestBuildInstance:
    def test_makes_every_offer_a_pool(self) -> None:
        instance = build(define_request(offers=OFFERS, default_available_count=5))
        assert instance.availability == {"p:r:h100-1x:on_demand": 5, "p:r:h100-8x:spot": 2}
        assert instance.gpus_per_unit == {"p:r:h100-1x:on_demand": 1, "p:r:h100-8x:spot": 8}

    def test_carries_market_and_zone(self) -> None:
        instance = build(define_request(offers=OFFERS))
        found = {(next(iter(item.units)), item.is_spot, item.zone) for item in instance.configurations}
        assert found == {("p:r:h100-1x:on_demand", False, "p:r"), ("p:r:h100-8x:spot", True, "p:r:z")}

    def test_leaves_an_open_budget_open(self) -> None:
        request = define_request(objective=Objective.MIN_COST, budget=float("inf"))
        assert build(request).budget_usd_per_hour is None
        assert build(replace(request, budget_usd_per_hour=8.0)).budget_usd_per_hour == 8.0

    def test_tells_classes_of_several_models_apart(self) -> None:
        request = define_request(demands=[define_demand("llama-3.1-8b"), define_demand("llama-3.1-70b")])
        instance = build(request)
        assert {item.model_id for item in instance.classes} == {"llama-3.1-8b", "llama-3.1-70b"}
        assert len({item.id for item in instance.classes}) == 18
        assert define_class_id(request, "llama-3.1-8b", "p496-o18") == "llama-3.1-8b|p496-o18"
        for item in instance.configurations:
            assert all(class_id.startswith(f"{item.model_id}|") for class_id in item.requests_per_s)
