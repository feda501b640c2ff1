"""Workloads: representative request classes with an arrival process."""

from dataclasses import dataclass
from enum import StrEnum


class ArrivalProcess(StrEnum):
    """How requests come."""

    POISSON = "poisson"
    TRACE = "trace"
    ALL_AT_ONCE = "all_at_once"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClass:
    """A representative request.

    Attributes:
        id: unique within the workload, e.g. `p824-o253`.
        prompt_tokens: representative prompt length [tokens], >= 1.
        output_tokens: representative output length [tokens], >= 1.
        share: part of all requests that this class stands for, 0..1; shares of a workload sum to 1.
    """

    id: str
    prompt_tokens: int
    output_tokens: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Request classes of one model and their arrival.

    Attributes:
        model_id: the model that serves these requests.
        requests_per_s: mean arrival rate of all classes together [requests/s]; what `min_cost` must carry.
            For `max_rate` only the shares matter.
        arrival: arrival process; `TRACE` when it came from an uploaded trace.
        source: preset name, file name or `gateway`.
    """

    name: str
    model_id: str
    classes: tuple[RequestClass, ...]
    requests_per_s: float
    arrival: ArrivalProcess
    source: str
