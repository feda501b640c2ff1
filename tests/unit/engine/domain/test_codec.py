"""JSON form of engine values: round trips, and what is refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.domain.codec import json_to_value, value_to_json
from engine.domain.configuration import Phase, Stage
from engine.domain.model_spec import MlaSpec, ModelSpec, MoeSpec, WeightFormat
from engine.domain.offer import Market, Offer
from engine.domain.plan import (
    Baseline,
    BindingRow,
    InfeasibleReason,
    Objective,
    Plan,
    PlannedMachine,
    PlannedReplica,
    PlannedStage,
    Prediction,
    SolverReport,
    SolveStatus,
)
from engine.domain.slo import Slo
from engine.domain.workload import ArrivalProcess, RequestClass, Workload
from engine.errors import InvalidInputError
from engine.routing.table import DeploymentRoutes, RoutingTable, ShardRoute

CHAT = RequestClass(id="p824-o253", prompt_tokens=824, output_tokens=253, share=1.0)
WORKLOAD = Workload(
    name="chat", model_id="m", classes=(CHAT,), requests_per_s=5.0, arrival=ArrivalProcess.POISSON, source="chat"
)
MODEL = ModelSpec(
    id="kimi",
    name="org/kimi",
    num_layers=61,
    hidden_size=7168,
    num_attention_heads=64,
    num_kv_heads=64,
    head_dim=192,
    intermediate_size=18432,
    vocab_size=163_840,
    max_context_tokens=262_144,
    weight_format=WeightFormat.INT4,
    moe=MoeSpec(num_experts=384, experts_per_token=8, expert_intermediate_size=2048),
    mla=MlaSpec(q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128),
)
OFFER = Offer(
    id="aws:us-east-1:p5.48xlarge:spot",
    provider="aws",
    region="us-east-1",
    instance_type="p5.48xlarge",
    gpu_name="H100",
    gpu_count=8,
    usd_per_hour=33.0,
    market=Market.SPOT,
    available_count=None,
    interruption_class=2,
    source="price list",
    observed_at=datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
)
PLAN = Plan(
    objective=Objective.MAX_RATE,
    model_ids=("m",),
    machines=(PlannedMachine(id="m1", offer_id=OFFER.id, usd_per_hour=33.0),),
    replicas=(
        PlannedReplica(
            id="r1",
            model_id="m",
            phase=Phase.MIXED,
            configuration_id="m/aws/tp8",
            stages=(
                PlannedStage(
                    machine_id="m1",
                    stage=Stage(offer_id=OFFER.id, machine_index=0, gpu_name="H100", tensor_parallel=8, num_layers=80),
                ),
            ),
            shares={"p824-o253": 1.0},
            requests_per_s=5.0,
            kv_tokens=385_840,
            max_num_seqs=256,
            max_num_batched_tokens=8192,
            engine_args={"max-model-len": "8192"},
        ),
    ),
    usd_per_hour=33.0,
    prediction=Prediction(
        requests_per_s=5.0,
        output_tokens_per_s=1265.0,
        ttft_s=0.2,
        tpot_s=0.03,
        ttft_slo_s=0.4,
        tpot_slo_s=0.036,
        usd_per_mtok=7.2,
        error_band=0.062,
        source="h200-vllm0.26-bf16",
    ),
    report=SolverReport(
        status=SolveStatus.OPTIMAL,
        solver="highs",
        objective=5.0,
        best_bound=5.0,
        gap=0.0,
        runtime_s=0.1,
        binding=(BindingRow(row="budget", slack=0.0, shadow_price=0.1, unit="sets/s per USD/h", step=1.0, gain=0.1),),
        reasons=(InfeasibleReason(kind="budget", subject="", value=12.0, text="needs 12 USD/h"),),
        dropped={"unknown accelerator": 1},
        notes=("a note",),
    ),
    baselines=(Baseline(name="single type", detail="H100", requests_per_s=4.0, usd_per_hour=30.0, is_feasible=True),),
)
TABLE = RoutingTable(
    version="abc",
    deployments=(
        DeploymentRoutes(
            name="demo",
            model_name="demo",
            classes=(CHAT,),
            slo=Slo(ttft_s=2.0),
            key_hashes=("00",),
            shards=(
                ShardRoute(
                    shard_id="demo-r1",
                    url="http://127.0.0.1:9001",
                    weights={"p824-o253": 0.5},
                    accepts_requests=True,
                    strips_seed=True,
                ),
            ),
        ),
    ),
)


class TestRoundTrip:
    @pytest.mark.parametrize("value", [WORKLOAD, MODEL, OFFER, PLAN, TABLE], ids=lambda value: type(value).__name__)
    def test_survives_json_text(self, value: Any) -> None:
        text = json.dumps(value_to_json(value))
        assert json_to_value(type(value), json.loads(text)) == value

    def test_writes_plain_data(self) -> None:
        assert value_to_json(WORKLOAD) == {
            "name": "chat",
            "model_id": "m",
            "classes": [{"id": "p824-o253", "prompt_tokens": 824, "output_tokens": 253, "share": 1.0}],
            "requests_per_s": 5.0,
            "arrival": "poisson",
            "source": "chat",
        }

    def test_writes_instants_with_their_offset(self) -> None:
        assert value_to_json(OFFER)["observed_at"] == "2026-11-24T12:00:00Z"

    def test_fills_in_defaults(self) -> None:
        assert json_to_value(Slo, {"ttft_s": 2}) == Slo(ttft_s=2.0)


def _refuse(cls: type, data: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as error:
        json_to_value(cls, data)
    return error.value


class TestRefusals:
    def test_name_a_missing_field(self) -> None:
        data = value_to_json(WORKLOAD)
        del data["arrival"]
        error = _refuse(Workload, data)
        assert error.field == "arrival"
        assert error.remedy == "give a value that fits Workload.arrival"

    def test_name_an_unknown_field(self) -> None:
        error = _refuse(Workload, {**value_to_json(WORKLOAD), "rate": 5.0})
        assert (error.field, error.message) == ("rate", "rate: unknown field")

    def test_name_an_unknown_field_inside_a_list(self) -> None:
        data = value_to_json(PLAN)
        data["replicas"][0]["stages"][0]["stage"]["layers"] = 80
        assert _refuse(Plan, data).field == "replicas.0.stages.0.stage.layers"

    def test_name_an_unknown_field_of_an_optional_value(self) -> None:
        data = value_to_json(MODEL)
        data["moe"]["top_k"] = 8
        assert _refuse(ModelSpec, data).field == "moe.top_k"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"requests_per_s": "5"}, "requests_per_s"),
            ({"requests_per_s": True}, "requests_per_s"),
            ({"arrival": "bursty"}, "arrival"),
            ({"classes": {}}, "classes"),
            ({"classes": [{"id": "c", "prompt_tokens": 1.5, "output_tokens": 1, "share": 1.0}]},
             "classes.0.prompt_tokens"),
        ],
    )  # fmt: skip
    def test_name_a_field_of_the_wrong_type(self, change: dict[str, Any], field: str) -> None:
        assert _refuse(Workload, {**value_to_json(WORKLOAD), **change}).field == field

    @pytest.mark.parametrize("data", [None, [], "text", 5])
    def test_name_the_type_when_nothing_fits(self, data: Any) -> None:
        assert _refuse(Workload, data).field == "Workload"

    def test_leave_keys_of_mappings_free(self) -> None:
        data = value_to_json(PLAN)
        data["replicas"][0]["shares"] = {"any class": 1.0}
        assert json_to_value(Plan, data).replicas[0].shares == {"any class": 1.0}
