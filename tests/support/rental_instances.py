"""Rental instances with known answers: the worked example, and the reference instance R1.

Source: specification of the rental planner, sections 9 and 10.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.domain.plan import Objective
from engine.planners.rental.instance import InstanceClass, InstanceConfiguration, RentalInstance, Solution
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.solve import solve_instance

EXACT: Final = SolveOptions(mip_gap=1e-6)


def still_clock() -> float:
    """A clock that stands: solves get their whole limit."""
    return 0.0


def solve(instance: RentalInstance, options: SolveOptions = EXACT) -> Solution:
    """Return the solution of an instance, without time passing."""
    return solve_instance(instance, options, clock=still_clock)


def define_copy(
    copy_id: str, usd_per_hour: float, units: Mapping[str, int], speeds: Mapping[str, float], **more: Any
) -> InstanceConfiguration:
    """Return a configuration from its four main figures."""
    return InstanceConfiguration(id=copy_id, usd_per_hour=usd_per_hour, units=units, requests_per_s=speeds, **more)


WORKED_COPIES: Final = (
    define_copy("c1", 4.0, {"t1": 1}, {"w1": 1.0, "w2": 1.2}),
    define_copy("c2", 2.0, {"t2": 1}, {"w1": 0.9, "w2": 0.9}),
    define_copy("c3", 2.0, {"t3": 1}, {"w1": 0.3, "w2": 0.5}),
    define_copy("c4", 4.0, {"t2": 2}, {"w1": 2.4, "w2": 1.5}),
)
WORKED_POOL_TYPES: Final = {"t1": "t1", "t2": "t2", "t3": "t3"}


def define_worked_example(
    *,
    objective: Objective = Objective.MAX_RATE,
    budget: float | None = 8.0,
    demand: tuple[float, float] = (80.0, 20.0),
    stock: Mapping[str, int] | None = None,
    copies: Sequence[InstanceConfiguration] = WORKED_COPIES,
) -> RentalInstance:
    """Return the worked example of section 9, or a variant of it."""
    return RentalInstance(
        name="worked-example",
        objective=objective,
        budget_usd_per_hour=budget,
        availability={"t1": 2, "t2": 2, "t3": 2} if stock is None else stock,
        classes=(InstanceClass(id="w1", demand=demand[0]), InstanceClass(id="w2", demand=demand[1])),
        configurations=tuple(copies),
    )


def define_worked_file(**changes: Any) -> dict[str, Any]:
    """Return the worked example as instance-file data, with changed top-level keys."""
    data: dict[str, Any] = {
        "name": "worked-example",
        "objective": "max_rate",
        "budget_usd_per_hour": 8.0,
        "availability": {"t1": 2, "t2": 2, "t3": 2},
        "classes": [{"id": "w1", "demand": 80}, {"id": "w2", "demand": 20}],
        "configurations": [
            {
                "id": item.id,
                "usd_per_hour": item.usd_per_hour,
                "gpus": dict(item.units),
                "requests_per_s": dict(item.requests_per_s),
            }
            for item in WORKED_COPIES
        ],
        "options": {"mip_gap": 1e-6, "time_limit_s": 60, "method": "direct", "tie_break": True},
    }
    return data | changes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceGpu:
    """A row of section 10's table."""

    usd_per_hour: float
    memory_gb: float
    tflops: float
    gb_per_s: float
    available: tuple[int, int, int, int]
    has_nvlink: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceModel:
    """A model of section 10: parameters and KV bytes per token."""

    num_parameters: float
    kv_bytes_per_token: float


REFERENCE_GPUS: Final = {
    "4090": ReferenceGpu(usd_per_hour=0.53, memory_gb=24, tflops=83, gb_per_s=1008, available=(16, 32, 32, 24)),
    "A40": ReferenceGpu(usd_per_hour=0.55, memory_gb=48, tflops=150, gb_per_s=696, available=(12, 8, 16, 24)),
    "A6000": ReferenceGpu(usd_per_hour=0.83, memory_gb=48, tflops=91, gb_per_s=768, available=(8, 16, 8, 24)),
    "L40": ReferenceGpu(usd_per_hour=0.90, memory_gb=48, tflops=181, gb_per_s=864, available=(12, 16, 8, 16)),
    "A100": ReferenceGpu(
        usd_per_hour=1.75, memory_gb=80, tflops=312, gb_per_s=2039, available=(6, 7, 32, 4), has_nvlink=True
    ),
    "H100": ReferenceGpu(
        usd_per_hour=2.99, memory_gb=80, tflops=989, gb_per_s=3350, available=(8, 12, 8, 8), has_nvlink=True
    ),
}
LLAMA_70B: Final = ReferenceModel(num_parameters=70.6e9, kv_bytes_per_token=327_680)
LLAMA_8B: Final = ReferenceModel(num_parameters=8.03e9, kv_bytes_per_token=131_072)
REFERENCE_SIZES: Final = tuple((i, o) for i in (496, 824, 2455) for o in (18, 253, 510))
REFERENCE_TRACES: Final = (
    (33, 7, 8, 7, 27, 6, 6, 3, 3),
    (22, 5, 5, 21, 5, 5, 19, 6, 12),
    (4, 14, 3, 20, 27, 1, 25, 0, 6),
)
_NVLINK_RATIO: Final = {1: 1.0, 2: 0.95, 4: 0.90, 8: 0.82}
_PCIE_RATIO: Final = {1: 1.0, 2: 0.90, 4: 0.80, 8: 0.62}
_PIPELINE_RATIO: Final = {1: 1.0, 2: 0.95, 3: 0.93, 4: 0.90}


def estimate_reference_speed(
    gpu: ReferenceGpu, model: ReferenceModel, split: tuple[int, int], size: tuple[int, int]
) -> float:
    """Return h of one replica [requests/s] by the plain roofline; 0 where it does not fit."""
    tp, pp = split
    prompt, output = size
    g = tp * pp
    ratio = (_NVLINK_RATIO if gpu.has_nvlink else _PCIE_RATIO)[tp] * _PIPELINE_RATIO[pp]
    flop_per_s = g * gpu.tflops * 1e12 * 0.6 * ratio
    bytes_per_s = g * gpu.gb_per_s * 1e9 * 0.8 * ratio
    room = 0.9 * g * gpu.memory_gb * 1e9 - 2 * model.num_parameters
    if room <= 0:
        return 0.0
    batch = min(256, math.floor(math.floor(room / model.kv_bytes_per_token) / (prompt + output)))
    if batch < 1:
        return 0.0
    weights = 2 * model.num_parameters
    step = max(
        (weights + batch * model.kv_bytes_per_token * (prompt + output / 2)) / bytes_per_s,
        weights * batch / flop_per_s,
    )
    return 1.0 / (weights * prompt / flop_per_s + output / batch * step)


def list_reference_copies(model: ReferenceModel = LLAMA_70B) -> tuple[InstanceConfiguration, ...]:
    """Return the configurations of R1 that serve all nine classes."""
    found = []
    for name, gpu in REFERENCE_GPUS.items():
        for tp in (1, 2, 4, 8):
            for pp in (1, 2, 3, 4):
                if tp * pp > 8:
                    continue
                speeds = {
                    f"w{index}": estimate_reference_speed(gpu, model, (tp, pp), size)
                    for index, size in enumerate(REFERENCE_SIZES, start=1)
                }
                if min(speeds.values()) > 0.0:
                    count = tp * pp
                    found.append(define_copy(f"{name}-tp{tp}-pp{pp}", gpu.usd_per_hour * count, {name: count}, speeds))
    return tuple(found)


def define_reference_instance(
    *, budget: float = 30.0, stock: int = 1, trace: int = 1, scale: int = 1, model: ReferenceModel = LLAMA_70B
) -> RentalInstance:
    """Return R1 under availability column `stock` (1..4) and mix `trace` (1..3).

    `scale` multiplies budget, stock and demand (section 11, check 8).
    """
    return RentalInstance(
        name="R1",
        objective=Objective.MAX_RATE,
        budget_usd_per_hour=budget * scale,
        availability={name: gpu.available[stock - 1] * scale for name, gpu in REFERENCE_GPUS.items()},
        classes=tuple(
            InstanceClass(id=f"w{index}", demand=10.0 * percent * scale)
            for index, percent in enumerate(REFERENCE_TRACES[trace - 1], start=1)
        ),
        configurations=list_reference_copies(model),
    )
