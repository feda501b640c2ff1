"""Requests that cannot be planned are refused by the name of the field."""

from dataclasses import replace

import pytest

from engine.domain.plan import Objective
from engine.domain.slo import Slo
from engine.planners.rental.request import InvalidRentalRequestError, RentalRequest, check_request
from tests.support.rental_requests import OFFERS, define_demand, define_request, replace_classes

DEMAND = define_demand("llama-3.1-8b")


def with_classes(*sizes: tuple[int, int, float]) -> RentalRequest:
    return define_request(demands=[replace(DEMAND, workload=replace_classes(DEMAND.workload, sizes))])


def with_rate(requests_per_s: float, objective: Objective = Objective.MAX_RATE) -> RentalRequest:
    return define_request(
        objective=objective, demands=[replace(DEMAND, workload=replace(DEMAND.workload, requests_per_s=requests_per_s))]
    )


class TestCheckRequest:
    def test_accepts_a_request(self) -> None:
        check_request(define_request())
        check_request(define_request(objective=Objective.MIN_COST, budget=float("inf")))

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (define_request(offers=()), "offers"),
            (define_request(offers=(OFFERS[0], OFFERS[0])), "offers"),
            (define_request(offers=(replace(OFFERS[0], usd_per_hour=0.0),)), "offers"),
            (define_request(offers=(replace(OFFERS[0], usd_per_hour=float("nan")),)), "offers"),
            (define_request(offers=(replace(OFFERS[0], gpu_count=0),)), "offers"),
            (define_request(demands=()), "demands"),
            (define_request(demands=(DEMAND, DEMAND)), "demands"),
            (with_classes(), "classes"),
            (with_classes((10, 0, 1.0)), "classes"),
            (with_classes((0, 10, 1.0)), "classes"),
            (with_classes((10, 10, -1.0)), "classes"),
            (with_classes((10, 10, 0.0)), "classes"),
            (with_classes((10, 10, 0.5), (10, 10, 0.5)), "classes"),
            (with_rate(-1.0), "requests_per_s"),
            (with_rate(float("nan")), "requests_per_s"),
            (with_rate(0.0, Objective.MIN_COST), "requests_per_s"),
            (define_request(budget=-1.0), "budget_usd_per_hour"),
            (define_request(budget=float("nan")), "budget_usd_per_hour"),
            (define_request(budget=float("inf")), "budget_usd_per_hour"),
            (define_request(slo=Slo(ttft_s=0.0)), "slo.ttft_s"),
            (define_request(slo=Slo(tpot_s=float("inf"))), "slo.tpot_s"),
            (define_request(slo=Slo(e2e_s=-1.0)), "slo.e2e_s"),
            (define_request(slo=Slo(percentile=49.0)), "slo.percentile"),
            (define_request(slo=Slo(percentile=100.1)), "slo.percentile"),
        ],
    )
    def test_refuses(self, request_: RentalRequest, field: str) -> None:
        with pytest.raises(InvalidRentalRequestError) as caught:
            check_request(request_)
        assert caught.value.field == field
        assert caught.value.remedy
