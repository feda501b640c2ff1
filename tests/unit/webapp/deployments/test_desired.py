"""From a plan to machines and shards."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.domain.configuration import Stage
from engine.domain.plan import Plan, PlannedStage
from webapp.deployments import desired
from webapp.deployments.desired import ServedAs, UnusablePlanError

SLOT = "local:this-host:cpu-slot:on_demand"
TOKEN = "0f8fad5b-d9cb-469f-a165-70867728950e"
SERVED = ServedAs(name="demo", weights_path="/models/demo")


class TestListDesiredMachines:
    def test_puts_each_replica_on_the_machine_of_its_first_stage(self, make_local_plan: Callable[..., Plan]) -> None:
        machines = desired.list_desired_machines(make_local_plan(2), {SLOT: Decimal("0.03")})
        assert [(one.plan_machine_id, one.provider, one.usd_per_hour) for one in machines] == [
            ("m1", "local", Decimal("0.03")),
            ("m2", "local", Decimal("0.03")),
        ]
        assert [[replica.id for replica in one.replicas] for one in machines] == [["r1"], ["r2"]]


class TestListDesiredShards:
    def build(self, plan: Plan, **changes: Any) -> desired.DesiredShard:
        options = {"served": SERVED, "deployment_name": "chat", "machine_token": TOKEN} | changes
        return desired.list_desired_shards(plan.replicas[:1], **options)[0]

    def test_splits_stages_over_a_pipeline(self, make_local_plan: Callable[..., Plan]) -> None:
        plan = make_local_plan(1)
        stages = tuple(
            PlannedStage(
                machine_id="m1",
                stage=Stage(offer_id=SLOT, machine_index=0, gpu_name="cpu-slot", tensor_parallel=2, num_layers=layers),
            )
            for layers in (3, 5)
        )
        shard = self.build(replace(plan, replicas=(replace(plan.replicas[0], stages=stages),)))
        assert (shard.spec.tensor_parallel, shard.spec.pipeline_parallel) == (2, 2)
        assert shard.spec.layer_partition == [3, 5]

    def test_passes_other_engine_arguments_on(self, make_local_plan: Callable[..., Plan]) -> None:
        arguments = {"max-model-len": "512", "kv-cache-memory-bytes": "1024", "block-size": "32"}
        shard = self.build(make_local_plan(1, engine_args=arguments))
        assert (shard.spec.max_model_len, shard.spec.kv_cache_memory_bytes) == (512, 1024)
        assert shard.spec.extra_args == {"block-size": "32"}

    @pytest.mark.parametrize("value", [None, "", "0", "auto", "-1"])
    def test_refuses_a_replica_without_its_kv_cache(
        self, make_local_plan: Callable[..., Plan], value: str | None
    ) -> None:
        arguments = {"max-model-len": "512"} | ({} if value is None else {"kv-cache-memory-bytes": value})
        with pytest.raises(UnusablePlanError, match="replica r1 has no usable engine argument kv-cache-memory-bytes"):
            self.build(make_local_plan(1, engine_args=arguments))

    def test_refuses_a_name_that_no_shard_may_have(self, make_local_plan: Callable[..., Plan]) -> None:
        with pytest.raises(UnusablePlanError, match="replica r1 cannot be a shard: shard_id"):
            self.build(make_local_plan(1), deployment_name="-chat")

    def test_gives_the_longest_name_an_identity_that_fits(self, make_local_plan: Callable[..., Plan]) -> None:
        shard = self.build(make_local_plan(1), deployment_name="x" * 48)
        assert shard.spec.shard_id == f"{'x' * 48}-r1-0f8fad5b"


class TestListProviders:
    def test_reads_them_from_the_offers(self, make_plan: Callable[..., Plan]) -> None:
        plan = make_plan(((SLOT, 0.02), ("aws:us-east-1:p5:on_demand", 40.0), (SLOT, 0.02)))
        assert desired.list_providers(plan) == ("aws", "local")
