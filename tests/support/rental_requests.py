"""Requests to the rental planner: real models, accelerators and workloads, offers made up."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from engine.domain.model_config import parse_model_config
from engine.domain.model_presets import list_model_presets
from engine.domain.model_spec import ModelSpec
from engine.domain.offer import Market, Offer, define_offer_id
from engine.domain.plan import Objective
from engine.domain.slo import Slo
from engine.domain.workload import RequestClass, Workload
from engine.domain.workload_presets import get_workload_preset, preset_to_workload
from engine.planners.rental.options import RentalOptions
from engine.planners.rental.planner import plan_rental
from engine.planners.rental.request import ModelDemand, RentalAnswer, RentalRequest

NOW: Final = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def get_model(preset_id: str) -> ModelSpec:
    """Return a preset as the planner sees it."""
    (preset,) = [item for item in list_model_presets() if item.id == preset_id]
    return parse_model_config(preset.config, model_id=preset.id, name=preset.name)


def define_offer(gpu_name: str, gpu_count: int, usd_per_hour: float, **more: Any) -> Offer:
    """Return an offer of provider `p` in region `r`; `more` overrides its fields."""
    market = more.get("market", Market.ON_DEMAND)
    instance_type = f"{gpu_name.lower()}-{gpu_count}x"
    fields: dict[str, Any] = {
        "provider": "p",
        "region": "r",
        "instance_type": instance_type,
        "gpu_name": gpu_name,
        "gpu_count": gpu_count,
        "usd_per_hour": usd_per_hour,
        "market": market,
        "available_count": 4,
        "source": "made up",
        "observed_at": NOW,
    }
    offer_id = define_offer_id(provider="p", region="r", zone="", instance_type=instance_type, market=market)
    return Offer(id=offer_id, **(fields | more))


OFFERS: Final = (
    define_offer("A40", 1, 0.55),
    define_offer("A100-80", 4, 7.0),
    define_offer("H100", 1, 3.0),
    define_offer("H100", 8, 22.0),
    define_offer("H100", 8, 12.0, market=Market.SPOT),
)


def define_demand(model_id: str, *, workload: str = "chat", requests_per_s: float | None = None) -> ModelDemand:
    """Return a preset model under a preset workload."""
    model = get_model(model_id)
    mix = preset_to_workload(get_workload_preset(workload), model_id=model.id, requests_per_s=requests_per_s)
    return ModelDemand(model=model, workload=mix)


def define_request(
    *,
    objective: Objective = Objective.MAX_RATE,
    offers: Sequence[Offer] = OFFERS,
    demands: Sequence[ModelDemand] | None = None,
    slo: Slo | None = None,
    budget: float = 30.0,
    **options: Any,
) -> RentalRequest:
    """Return a request; by default Llama-3.1-8B under the chat mix for 30 USD/h."""
    return RentalRequest(
        objective=objective,
        offers=tuple(offers),
        demands=tuple(demands) if demands is not None else (define_demand("llama-3.1-8b"),),
        slo=Slo(ttft_s=2.0, tpot_s=0.1) if slo is None else slo,
        budget_usd_per_hour=budget,
        options=RentalOptions(**options),
    )


def plan(request: RentalRequest) -> RentalAnswer:
    """Return the answer, without time passing."""
    return plan_rental(request, clock=lambda: 0.0, on_progress=lambda _step, _part: None)


def replace_classes(workload: Workload, sizes: Sequence[tuple[int, int, float]]) -> Workload:
    """Return the workload with classes of these (prompt tokens, output tokens, share)."""
    classes = tuple(
        RequestClass(id=f"p{prompt}-o{output}", prompt_tokens=prompt, output_tokens=output, share=share)
        for prompt, output, share in sizes
    )
    return replace(workload, classes=classes)
