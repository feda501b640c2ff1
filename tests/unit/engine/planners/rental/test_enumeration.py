"""Configurations of offers, with the reasons for every drop."""

from dataclasses import replace

import pytest

from engine.domain.configuration import Configuration
from engine.domain.slo import Slo
from engine.market.local import define_local_offer
from engine.planners.rental.enumeration import (
    Enumeration,
    create_catalogue,
    enumerate_configurations,
    get_longest_tokens,
)
from engine.planners.rental.request import RentalRequest
from tests.support.rental_requests import NOW, define_demand, define_offer, define_request, replace_classes

OPEN = Slo()
H100 = define_offer("H100", 1, 3.0)
H100_X8 = define_offer("H100", 8, 22.0)
A40 = define_offer("A40", 1, 0.55)


def enumerate_all(request: RentalRequest, *, slo_slack: float = 1.0) -> Enumeration:
    return enumerate_configurations(request, create_catalogue(request), slo_slack=slo_slack)


def list_labels(found: Enumeration) -> list[str]:
    return [item.id.rsplit("/", 1)[1] for item in found.configurations]


def find(found: Enumeration, label: str) -> Configuration:
    (item,) = [item for item in found.configurations if item.id.endswith(f"/{label}")]
    return item


class TestEnumerateConfigurations:
    def test_lists_the_splits_of_a_machine(self) -> None:
        found = enumerate_all(define_request(offers=[H100_X8], slo=OPEN))
        assert list_labels(found) == [
            *("tp1", "tp2", "tp1-pp2", "tp1-pp3", "tp4", "tp2-pp2", "tp1-pp4"),
            *("tp2-pp3", "tp8", "tp4-pp2", "tp2-pp4"),
        ]
        assert found.dropped == {"deeper pipeline than needed": 4}

    def test_fills_machines_with_replicas(self) -> None:
        found = enumerate_all(define_request(offers=[H100_X8], slo=OPEN))
        alone = find(enumerate_all(define_request(offers=[H100], slo=OPEN)), "tp1")
        full = find(found, "tp1")
        assert (full.replicas_per_copy, full.num_gpus, full.usd_per_hour) == (8, 8, 22.0)
        for class_id, performance in full.performance.items():
            assert performance.requests_per_s == pytest.approx(8 * alone.performance[class_id].requests_per_s)
            assert performance.batch == alone.performance[class_id].batch

    def test_keeps_engine_arguments_with_the_configuration(self) -> None:
        item = find(enumerate_all(define_request(offers=[H100], max_num_seqs=64, gpu_memory_utilization=0.8)), "tp1")
        assert (item.max_num_seqs, item.max_num_batched_tokens) == (64, 8192)
        assert item.engine_args["gpu-memory-utilization"] == "0.8"
        assert int(item.engine_args["max-model-len"]) <= item.kv_tokens

    def test_drops_what_does_not_fit_the_machine(self) -> None:
        found = enumerate_all(define_request(offers=[H100], slo=OPEN))
        assert list_labels(found) == ["tp1"]
        assert found.dropped["tensor-parallel group larger than the machine"] == 7
        assert found.dropped["pipeline across machines"] == 7

    def test_drops_what_does_not_fit_the_memory(self) -> None:
        found = enumerate_all(define_request(offers=[A40], demands=[define_demand("llama-3.1-70b")]))
        assert found.configurations == ()
        assert found.dropped["weights and longest request exceed memory"] == 1

    def test_goes_deeper_only_where_nothing_else_fits(self) -> None:
        """70B in eight cards of 24 GB: tensor parallelism of eight fits, so no pipeline of eight is tried."""
        demands = [define_demand("llama-3.1-70b")]
        offer = define_offer("RTX4090", 8, 4.0)
        assert max(item.pipeline_parallel for item in self._list(offer, demands)) <= 4
        narrow = replace(demands[0], model=replace(demands[0].model, num_attention_heads=63, num_kv_heads=9))
        assert {item.pipeline_parallel for item in self._list(offer, [narrow])} >= {8}

    def test_drops_what_meets_the_slo_for_no_class(self) -> None:
        found = enumerate_all(define_request(offers=[H100], slo=Slo(ttft_s=1e-4)))
        assert found.configurations == ()
        assert found.dropped["no class meets the SLO"] == 1

    def test_keeps_classes_that_meet_the_slo_only(self) -> None:
        whole = find(enumerate_all(define_request(offers=[A40], slo=OPEN)), "tp1")
        tight = find(enumerate_all(define_request(offers=[A40], slo=Slo(ttft_s=0.6))), "tp1")
        assert len(whole.performance) == 9
        assert 0 < len(tight.performance) < 9
        assert not any(class_id.startswith("p2455") for class_id in tight.performance)

    def test_serves_less_under_a_tighter_slo(self) -> None:
        loose = find(enumerate_all(define_request(offers=[H100], slo=Slo(tpot_s=0.1))), "tp1")
        tight = find(enumerate_all(define_request(offers=[H100], slo=Slo(tpot_s=0.02))), "tp1")
        for class_id, performance in tight.performance.items():
            assert performance.requests_per_s <= loose.performance[class_id].requests_per_s
            assert performance.tpot_s * 1.2 <= 0.02 + 1e-12

    def test_loosens_the_slo_by_the_slack(self) -> None:
        tight = define_request(offers=[H100], slo=Slo(tpot_s=0.02, ttft_s=0.5))
        loose = define_request(offers=[H100], slo=Slo(tpot_s=0.04, ttft_s=1.0))
        assert enumerate_all(tight, slo_slack=2.0).configurations == enumerate_all(loose).configurations

    def test_drops_requests_longer_than_the_context(self) -> None:
        demand = define_demand("demo", workload="demo")
        long = replace(demand, workload=replace_classes(demand.workload, [(9_000, 10, 1.0)]))
        found = enumerate_all(define_request(offers=[H100], demands=[long], slo=OPEN))
        assert found.dropped == {"longest request exceeds the model's context": 1}

    def test_drops_unknown_accelerators(self) -> None:
        found = enumerate_all(define_request(offers=[define_offer("Abacus", 1, 1.0), H100]))
        assert found.dropped["unknown accelerator"] == 1
        assert len(found.configurations) == 1

    def test_gives_a_cpu_slot_its_fixed_cache(self) -> None:
        slot = define_local_offer(num_slots=2, usd_per_slot_hour=0.05, now=NOW)
        demands = [define_demand("demo", workload="demo")]
        (item,) = enumerate_all(define_request(offers=[slot], demands=demands, slo=OPEN)).configurations
        assert item.engine_args == {"max-model-len": "8192", "kv-cache-memory-bytes": str(256 * 1024**2)}
        assert (item.tensor_parallel, item.pipeline_parallel, item.replicas_per_copy) == (1, 1, 1)

    def test_estimates_every_shape_once(self) -> None:
        request = define_request(offers=[H100, replace(H100, id="other", usd_per_hour=4.0), H100_X8])
        catalogue = create_catalogue(request)
        enumerate_configurations(request, catalogue)
        assert len(catalogue.times) == 11

    def test_tells_its_progress(self) -> None:
        seen: list[float] = []
        request = define_request(offers=[H100, A40])
        enumerate_configurations(request, create_catalogue(request), on_progress=seen.append)
        assert seen == [0.0, 0.5]

    def _list(self, offer: object, demands: object) -> tuple[Configuration, ...]:
        return enumerate_all(define_request(offers=[offer], demands=demands, slo=OPEN)).configurations  # type: ignore[list-item, arg-type]


class TestGetLongestTokens:
    def test_ignores_classes_that_do_not_occur(self) -> None:
        demand = define_demand("llama-3.1-8b", workload="code")
        workload = replace_classes(demand.workload, [(100, 50, 1.0), (9_000, 1_000, 0.0)])
        assert get_longest_tokens(replace(demand, workload=workload)) == 150
