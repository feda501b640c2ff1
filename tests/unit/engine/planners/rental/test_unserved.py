"""Why classes are served by nothing, with the figures."""

from dataclasses import replace

import pytest

from engine.domain.plan import InfeasibleReason, SolveStatus
from engine.domain.slo import Slo
from engine.planners.rental.request import RentalRequest
from engine.planners.rental.unserved import estimate_model_bytes
from tests.support.rental_requests import (
    define_demand,
    define_offer,
    define_request,
    get_model,
    plan,
    replace_classes,
)


def list_reasons(request: RentalRequest) -> tuple[InfeasibleReason, ...]:
    report = plan(request).plan.report
    assert report.status is SolveStatus.INFEASIBLE
    return report.reasons


class TestUnserved:
    def test_says_how_large_the_model_is(self) -> None:
        offers = [define_offer("T4", 1, 0.3), define_offer("A40", 2, 1.0)]
        (reason,) = list_reasons(define_request(offers=offers, demands=[define_demand("llama-3.1-70b")], slo=Slo()))
        assert reason.kind == "class"
        assert reason.value == pytest.approx(141.1, abs=0.1)
        assert reason.text == (
            "llama-3.1-70b has 141.1 GB of weights and needs room for 2965 tokens of KV cache beside them; "
            "the largest machine offered, 2 x A40, has 96.6 GB in all"
        )

    def test_says_how_long_the_context_is(self) -> None:
        demand = define_demand("demo", workload="demo")
        long = replace(demand, workload=replace_classes(demand.workload, [(9_000, 10, 0.5), (10, 10, 0.5)]))
        (reason,) = list_reasons(define_request(demands=[long], slo=Slo()))
        assert reason.text == "the longest request has 9010 tokens, the context of demo holds 8192"
        assert reason.value == 818.0

    def test_says_by_how_much_each_class_misses_the_slo(self) -> None:
        request = define_request(offers=[define_offer("H100", 1, 3.0)], slo=Slo(ttft_s=1e-3))
        reasons = [reason for reason in list_reasons(request) if reason.kind == "class"]
        assert len(reasons) == 9
        for reason in reasons:
            assert reason.value > 1.0
            assert reason.text.startswith(f"class {reason.subject}: TTFT at P90 is ")
            assert reason.text.endswith("s at best (on 1 x H100), the SLO allows 0.001 s")

    def test_names_the_bound_that_is_missed_most(self) -> None:
        request = define_request(offers=[define_offer("H100", 1, 3.0)], slo=Slo(ttft_s=2.0, tpot_s=1e-4))
        reasons = [reason for reason in list_reasons(request) if reason.kind == "class"]
        assert {reason.text.split(":")[1].split()[0] for reason in reasons} == {"TPOT"}

    def test_names_classes_of_one_output_token(self) -> None:
        demand = define_demand("llama-3.1-8b")
        single = replace(demand, workload=replace_classes(demand.workload, [(2_000, 1, 1.0)]))
        request = define_request(offers=[define_offer("H100", 1, 3.0)], demands=[single], slo=Slo(ttft_s=1e-3))
        assert [reason.subject for reason in list_reasons(request) if reason.kind == "class"] == ["p2000-o1"]

    def test_says_that_no_accelerator_is_known(self) -> None:
        (reason,) = list_reasons(define_request(offers=[define_offer("Abacus", 1, 1.0)], slo=Slo()))
        assert reason.text.endswith("no offer has a known accelerator")


class TestSloReason:
    def test_is_true_to_one_percent(self) -> None:
        offers = [define_offer("H100", 1, 3.0)]
        reasons = list_reasons(define_request(offers=offers, slo=Slo(ttft_s=0.01)))
        (reason,) = [reason for reason in reasons if reason.kind == "slo"]
        factor = reason.value
        assert reason.text == f"with budget and stock as they are, an SLO {factor:.2f} times as loose would be feasible"
        assert plan(define_request(offers=offers, slo=Slo(ttft_s=0.01 * factor))).plan.replicas
        assert not plan(define_request(offers=offers, slo=Slo(ttft_s=0.01 * factor / 1.011))).plan.replicas

    def test_is_absent_where_no_factor_helps(self) -> None:
        reasons = list_reasons(define_request(budget=0.1, slo=Slo(ttft_s=2.0)))
        assert [reason.kind for reason in reasons] == ["budget"]

    def test_is_absent_without_an_slo(self) -> None:
        assert [reason.kind for reason in list_reasons(define_request(budget=0.1, slo=Slo()))] == ["budget"]


class TestEstimateModelBytes:
    @pytest.mark.parametrize(("model_id", "gigabytes"), [("llama-3.1-8b", 16.1), ("llama-3.1-70b", 141.1)])
    def test_counts_every_weight(self, model_id: str, gigabytes: float) -> None:
        assert estimate_model_bytes(get_model(model_id)) / 1e9 == pytest.approx(gigabytes, abs=0.1)
