"""From a request to a plan: complete, consistent, honest."""

import itertools
import json
from dataclasses import replace

import pytest

from engine.domain.codec import json_to_value, value_to_json
from engine.domain.plan import Objective, Plan, SolveStatus
from engine.domain.slo import Slo
from engine.market.local import define_local_offer
from engine.planners.rental.comparison import SINGLE_TYPE, SINGLE_TYPE_UNLIMITED
from engine.planners.rental.instance_file import solve_instance_file
from engine.planners.rental.planner import plan_rental
from engine.planners.rental.request import InvalidRentalRequestError, RentalAnswer
from tests.support.rental_requests import NOW, OFFERS, define_demand, define_offer, define_request, plan


@pytest.fixture(scope="module")
def answer() -> RentalAnswer:
    return plan(define_request())


@pytest.fixture(scope="module")
def result(answer: RentalAnswer) -> Plan:
    return answer.plan


class TestPlanRental:
    def test_proves_its_optimum(self, result: Plan) -> None:
        report = result.report
        assert report.status is SolveStatus.OPTIMAL
        assert report.solver == "HiGHS"
        assert report.objective is not None
        assert report.best_bound is not None
        assert report.gap is not None
        assert report.gap <= 1e-4
        assert report.best_bound >= report.objective

    def test_rents_within_budget_and_stock(self, result: Plan) -> None:
        prices = {offer.id: offer.usd_per_hour for offer in OFFERS}
        assert result.usd_per_hour == pytest.approx(sum(prices[machine.offer_id] for machine in result.machines))
        assert result.usd_per_hour <= 30.0
        for offer in OFFERS:
            assert sum(machine.offer_id == offer.id for machine in result.machines) <= 4
        assert [machine.id for machine in result.machines] == [f"m{n + 1}" for n in range(len(result.machines))]

    def test_places_every_replica_on_its_machine(self, result: Plan) -> None:
        offers = {offer.id: offer for offer in OFFERS}
        machines = {machine.id: machine for machine in result.machines}
        used: dict[str, int] = dict.fromkeys(machines, 0)
        for replica in result.replicas:
            assert sum(stage.stage.num_layers for stage in replica.stages) == 32
            for stage in replica.stages:
                assert machines[stage.machine_id].offer_id == stage.stage.offer_id
                used[stage.machine_id] += stage.stage.tensor_parallel
        assert all(0 < used[key] <= offers[machine.offer_id].gpu_count for key, machine in machines.items())
        assert [replica.id for replica in result.replicas] == [f"r{n + 1}" for n in range(len(result.replicas))]

    def test_serves_every_class_in_full(self, result: Plan) -> None:
        totals: dict[str, float] = {}
        for replica in result.replicas:
            for class_id, share in replica.shares.items():
                assert 0.0 < share <= 1.0
                totals[class_id] = totals.get(class_id, 0.0) + share
        assert totals == pytest.approx({item.id: 1.0 for item in define_demand("llama-3.1-8b").workload.classes})

    def test_keeps_the_spot_cap(self, result: Plan) -> None:
        spot = {machine.id for machine in result.machines if machine.offer_id.endswith(":spot")}
        assert spot
        on_spot: dict[str, float] = {}
        for replica in result.replicas:
            if replica.stages[0].machine_id in spot:
                for class_id, share in replica.shares.items():
                    on_spot[class_id] = on_spot.get(class_id, 0.0) + share
        assert max(on_spot.values()) <= 0.5 + 1e-6
        assert "spot machines serve at most 50 % of every class" in result.report.notes

    def test_predicts_what_the_replicas_carry(self, result: Plan) -> None:
        prediction = result.prediction
        assert prediction is not None
        assert prediction.requests_per_s == pytest.approx(result.report.objective)
        assert sum(replica.requests_per_s for replica in result.replicas) == pytest.approx(prediction.requests_per_s)
        tokens = sum(item.share * item.output_tokens for item in define_demand("llama-3.1-8b").workload.classes)
        assert prediction.output_tokens_per_s == pytest.approx(prediction.requests_per_s * tokens)
        assert prediction.usd_per_mtok == pytest.approx(
            result.usd_per_hour / 3600 / prediction.output_tokens_per_s * 1e6
        )

    def test_predicts_latencies_within_the_slo(self, result: Plan) -> None:
        prediction = result.prediction
        assert prediction is not None
        assert 0.0 < prediction.ttft_s < prediction.ttft_slo_s <= 2.0
        assert 0.0 < prediction.tpot_s < prediction.tpot_slo_s <= 0.1
        assert 0.0 < prediction.error_band < 1.0
        assert prediction.source

    def test_compares_with_simpler_plans(self, result: Plan) -> None:
        baselines = {item.name: item for item in result.baselines}
        assert len(baselines) == 6
        assert result.report.objective is not None
        for name, item in baselines.items():
            if item.is_feasible and "unlimited" not in name:
                assert item.requests_per_s <= result.report.objective * (1 + 1e-4)
        assert baselines[SINGLE_TYPE].is_feasible
        assert baselines[SINGLE_TYPE_UNLIMITED].requests_per_s >= baselines[SINGLE_TYPE].requests_per_s

    def test_names_binding_rows_in_words(self, result: Plan) -> None:
        assert result.report.binding
        for row in result.report.binding:
            assert row.gain > 0.0
            assert "requests/s" in row.unit
            assert "would carry" in row.text

    def test_counts_what_it_dropped(self, result: Plan) -> None:
        assert result.report.dropped["pipeline across machines"] > 0
        assert result.report.dropped["dominated by another configuration"] > 0

    def test_survives_json(self, result: Plan) -> None:
        assert json_to_value(Plan, json.loads(json.dumps(value_to_json(result)))) == result

    @pytest.mark.slow
    def test_gives_the_instance_that_it_solved(self, answer: RentalAnswer, result: Plan) -> None:
        again = solve_instance_file(json.loads(json.dumps(answer.instance)), lambda: 0.0)
        assert again["status"] == "optimal"
        assert again["rate_sets_per_s"] == pytest.approx(result.report.objective, rel=1e-4)

    @pytest.mark.slow
    def test_ignores_the_order_of_offers(self, result: Plan) -> None:
        other = plan(define_request(offers=OFFERS[::-1])).plan
        assert sorted(machine.offer_id for machine in other.machines) == sorted(m.offer_id for m in result.machines)
        assert other.report.objective == pytest.approx(result.report.objective)

    def test_tells_its_steps_in_order(self) -> None:
        seen: list[tuple[str, float]] = []
        request = define_request(offers=OFFERS[:1])
        plan_rental(request, clock=lambda: 0.0, on_progress=lambda step, part: seen.append((step, part)))
        assert [step for step, _ in itertools.groupby(step for step, _ in seen)] == [
            *("enumerate", "solve", "compare", "explain", "done")
        ]
        assert [part for _, part in seen] == sorted(part for _, part in seen)
        assert seen[-1] == ("done", 1.0)

    def test_refuses_what_cannot_be_planned(self) -> None:
        with pytest.raises(InvalidRentalRequestError):
            plan(define_request(offers=()))


class TestMinCost:
    @pytest.mark.slow
    def test_carries_the_demand_below_the_largest_load(self) -> None:
        request = define_request(
            objective=Objective.MIN_COST,
            demands=[define_demand("llama-3.1-8b", requests_per_s=20.0)],
            budget=float("inf"),
        )
        result = plan(request).plan
        assert result.report.status is SolveStatus.OPTIMAL
        assert result.report.objective == pytest.approx(result.usd_per_hour)
        assert result.prediction is not None
        assert result.prediction.requests_per_s == pytest.approx(20.0)
        assert sum(replica.requests_per_s for replica in result.replicas) == pytest.approx(20.0)
        fuller = plan(replace(request, options=replace(request.options, max_load=1.0))).plan
        assert fuller.usd_per_hour <= result.usd_per_hour

    def test_predicts_shorter_latencies_below_full_load(self) -> None:
        offers = [define_offer("H100", 1, 3.0)]
        demand = define_demand("llama-3.1-8b", requests_per_s=1.0)
        request = define_request(objective=Objective.MIN_COST, offers=offers, demands=[demand])
        light = plan(request).plan.prediction
        full = plan(define_request(offers=offers, budget=3.0)).plan.prediction
        assert light is not None
        assert full is not None
        assert light.tpot_s < full.tpot_s
        assert light.ttft_s < full.ttft_s


class TestSeveralModels:
    @pytest.mark.slow
    def test_share_budget_and_stock(self) -> None:
        demands = [define_demand("llama-3.1-8b"), define_demand("llama-3.1-70b")]
        result = plan(define_request(demands=demands, budget=40.0)).plan
        assert result.model_ids == ("llama-3.1-8b", "llama-3.1-70b")
        assert {replica.model_id for replica in result.replicas} == {"llama-3.1-8b", "llama-3.1-70b"}
        for model_id in result.model_ids:
            rate = sum(replica.requests_per_s for replica in result.replicas if replica.model_id == model_id)
            assert rate == pytest.approx((result.report.objective or 0.0) / 2)


class TestInfeasible:
    def test_is_a_plan_without_machines(self) -> None:
        answer = plan(define_request(budget=0.3))
        result = answer.plan
        assert result.report.status is SolveStatus.INFEASIBLE
        assert (result.machines, result.replicas, result.prediction, result.usd_per_hour) == ((), (), None, 0.0)
        (reason,) = result.report.reasons
        assert (reason.kind, reason.value) == ("budget", pytest.approx(0.55))
        assert solve_instance_file(json.loads(json.dumps(answer.instance)), lambda: 0.0)["status"] == "infeasible"

    def test_names_missing_stock(self) -> None:
        result = plan(define_request(offers=[define_offer("H100", 1, 3.0, available_count=0)])).plan
        (reason,) = result.report.reasons
        assert (reason.kind, reason.subject, reason.value) == ("stock", "p:r:h100-1x:on_demand", 1.0)

    @pytest.mark.slow
    def test_names_the_share_of_a_demand_too_large(self) -> None:
        demand = define_demand("llama-3.1-8b", requests_per_s=5000.0)
        result = plan(define_request(objective=Objective.MIN_COST, demands=[demand], budget=10.0)).plan
        kinds = {reason.kind: reason for reason in result.report.reasons}
        assert set(kinds) == {"stock", "demand_share"}
        assert 0.0 < kinds["demand_share"].value < 1.0

    def test_says_once_that_everything_is_spot(self) -> None:
        result = plan(define_request(offers=[OFFERS[-1]])).plan
        assert [(reason.kind, reason.value) for reason in result.report.reasons] == [("class", 0.5)]


class TestTimeLimit:
    def test_proves_nothing_in_no_time(self) -> None:
        result = plan(define_request(time_limit_s=0.0)).plan
        assert result.report.status is SolveStatus.NO_SOLUTION
        assert result.machines == ()
        assert "no plan was found within the time limit of 0 s" in result.report.notes


class TestDemo:
    @pytest.mark.parametrize("usd_per_slot_hour", [0.05, 0.03, 0.07, 0.1, 1 / 3])
    @pytest.mark.parametrize("num_slots", [2, 8])
    def test_rents_two_slots_for_the_price_of_two(self, usd_per_slot_hour: float, num_slots: int) -> None:
        slot = define_local_offer(num_slots=num_slots, usd_per_slot_hour=usd_per_slot_hour, now=NOW)
        demands = [define_demand("demo", workload="demo")]
        result = plan(
            define_request(offers=[slot], demands=demands, slo=Slo(), budget=round(2 * usd_per_slot_hour, 9))
        ).plan
        assert result.report.status is SolveStatus.OPTIMAL
        assert [machine.offer_id for machine in result.machines] == [slot.id, slot.id]
        assert [replica.stages[0].machine_id for replica in result.replicas] == ["m1", "m2"]
        for replica in result.replicas:
            assert set(replica.shares) == {item.id for item in demands[0].workload.classes}
            assert all(share == pytest.approx(0.5) for share in replica.shares.values())
