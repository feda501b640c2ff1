"""A small market, a model, a workload, and plan requests in any state, as the planner would leave them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.domain.configuration import Phase, Stage
from engine.domain.offer import Market, Offer, define_offer_id
from engine.domain.plan import (
    Objective,
    Plan,
    PlannedMachine,
    PlannedReplica,
    PlannedStage,
    Prediction,
    SolverReport,
    SolveStatus,
)
from engine.planners.rental.request import RentalAnswer
from webapp.core.models import Role, User
from webapp.market import services as market_services
from webapp.planning import services, solving
from webapp.planning.models import PlanRequest, PlanState, ServedModel, WorkloadProfile
from webapp.planning.plan_requests import PlanRequestSpec

MakePlan = Callable[..., Plan]
MakePlanRequest = Callable[..., PlanRequest]
LoadOffer = Callable[..., Offer]

H100_OFFER = "aws:us-east-1:p5.48xlarge:on_demand"
SPOT_OFFER = "runpod:eu-1:L4:spot"
SLOT_OFFER = "local:this-host:cpu-slot:on_demand"

LLAMA_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}

_OFFER = Offer(
    id=H100_OFFER,
    provider="aws",
    region="us-east-1",
    instance_type="p5.48xlarge",
    gpu_name="H100",
    gpu_count=8,
    usd_per_hour=40.0,
    market=Market.ON_DEMAND,
    available_count=None,
    source="price list",
    observed_at=datetime(2026, 11, 24, 10, 0, tzinfo=UTC),
)


def _define_offer(**changes: Any) -> Offer:
    offer = replace(_OFFER, **changes)
    offer_id = define_offer_id(
        provider=offer.provider,
        region=offer.region,
        zone=offer.zone,
        instance_type=offer.instance_type,
        market=offer.market,
    )
    return replace(offer, id=offer_id)


@pytest.fixture
def load_offer(db: None, now: datetime) -> LoadOffer:
    """Observe one offer; fields that are not given are those of the market's H100 machine."""

    def load(**changes: Any) -> Offer:
        offer = _define_offer(**changes)
        market_services.load_offers(source="test", offers=(offer,), refused=(), now=now)
        return offer

    return load


@pytest.fixture
def market(load_offer: LoadOffer) -> dict[str, Offer]:
    """Three offers: H100 machines on demand, L4 on spot, slots of this host."""
    offers = (
        load_offer(),
        load_offer(
            provider="runpod",
            region="eu-1",
            instance_type="L4",
            gpu_name="L4",
            gpu_count=1,
            usd_per_hour=0.25,
            market=Market.SPOT,
            available_count=4,
        ),
        load_offer(
            provider="local",
            region="this-host",
            instance_type="cpu-slot",
            gpu_name="cpu-slot",
            gpu_count=1,
            usd_per_hour=0.02,
            available_count=2,
        ),
    )
    return {offer.id: offer for offer in offers}


@pytest.fixture
def served_model(db: None, now: datetime) -> ServedModel:
    """A model for clouds."""
    return ServedModel.objects.create(slug="llama-8b", name="Llama 8B", config=LLAMA_CONFIG, created_at=now)


@pytest.fixture
def workload(db: None, now: datetime) -> WorkloadProfile:
    """Two request classes at 2 requests/s."""
    classes = [
        {"id": "p128-o64", "prompt_tokens": 128, "output_tokens": 64, "share": 0.75},
        {"id": "p1024-o256", "prompt_tokens": 1024, "output_tokens": 256, "share": 0.25},
    ]
    return WorkloadProfile.objects.create(
        slug="mix", name="Mix", source="test", arrival="poisson", requests_per_s=2.0, classes=classes, created_at=now
    )


@pytest.fixture
def spec() -> PlanRequestSpec:
    """What a plan request of the tests asks for."""
    return PlanRequestSpec(
        deployment_name="chat",
        objective="max_rate",
        budget_usd_per_hour=Decimal("100"),
        model_slug="llama-8b",
        workload_slug="mix",
        slo_ttft_s=2.0,
        slo_tpot_s=0.1,
    )


@pytest.fixture
def author(db: None) -> User:
    """The planner who asks for plans."""
    return User.objects.create_user(username="author", password="a-long-password", role=Role.PLANNER)


@pytest.fixture
def make_plan() -> MakePlan:
    """Build an engine plan of one replica per machine; `offers` are the machines as (offer id, USD/h)."""

    def make(offers: Sequence[tuple[str, float]] = ((H100_OFFER, 40.0),), **changes: Any) -> Plan:
        cost = sum(usd_per_hour for _, usd_per_hour in offers)
        machines = tuple(
            PlannedMachine(id=f"m{number}", offer_id=offer_id, usd_per_hour=usd_per_hour)
            for number, (offer_id, usd_per_hour) in enumerate(offers, start=1)
        )
        plan = Plan(
            objective=Objective.MAX_RATE,
            model_ids=("llama-8b",),
            machines=machines,
            replicas=tuple(_define_replica(machine, len(machines)) for machine in machines),
            usd_per_hour=cost,
            prediction=Prediction(
                requests_per_s=10.0,
                output_tokens_per_s=1120.0,
                ttft_s=0.2,
                tpot_s=0.02,
                ttft_slo_s=0.4,
                tpot_slo_s=0.024,
                usd_per_mtok=9.92,
                error_band=0.3,
                source="prior",
            ),
            report=SolverReport(
                status=SolveStatus.OPTIMAL,
                solver="highs",
                objective=10.0,
                best_bound=10.0,
                gap=0.0,
                runtime_s=0.5,
                dropped={"memory": 3},
            ),
            baselines=(),
        )
        return replace(plan, **changes)

    return make


def _define_replica(machine: PlannedMachine, num_machines: int) -> PlannedReplica:
    stage = Stage(offer_id=machine.offer_id, machine_index=0, gpu_name="H100", tensor_parallel=8, num_layers=32)
    return PlannedReplica(
        id=f"r{machine.id[1:]}",
        model_id="llama-8b",
        phase=Phase.MIXED,
        configuration_id=f"llama-8b/{machine.offer_id}/tp8",
        stages=(PlannedStage(machine_id=machine.id, stage=stage),),
        shares={"p128-o64": 1 / num_machines, "p1024-o256": 1 / num_machines},
        requests_per_s=10.0 / num_machines,
        kv_tokens=100_000,
        max_num_seqs=256,
        max_num_batched_tokens=8192,
        engine_args={"tensor-parallel-size": "8"},
    )


@pytest.fixture
def make_plan_request(
    market: dict[str, Offer],
    served_model: ServedModel,
    workload: WorkloadProfile,
    author: User,
    spec: PlanRequestSpec,
    make_plan: MakePlan,
    now: datetime,
) -> MakePlanRequest:
    """Make a plan request of `author` that is a draft, solving or priced; other states are set without a service."""

    def make(state: PlanState = PlanState.DRAFT, *, plan: Plan | None = None, **changes: Any) -> PlanRequest:
        request = services.create_plan_request(actor=author, spec=replace(spec, **changes), now=now)
        if state is PlanState.DRAFT:
            return request
        request = services.start_solve(actor=author, plan_request_id=request.pk, now=now)
        if state is PlanState.SOLVING:
            return request
        job = solving.load_solve(plan_request_id=request.pk, solve_token=request.solve_token, now=now)
        answer = RentalAnswer(plan=plan or make_plan(), instance={"name": "test"})
        solving.apply_answer(job=job, answer=answer, now=now)
        if state is not PlanState.PRICED:
            PlanRequest.objects.filter(pk=request.pk).update(state=state)
        return PlanRequest.objects.select_related("plan").get(pk=request.pk)

    return make
