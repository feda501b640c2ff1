"""What the collector reads from a gateway: `GET /internal/stats?since=N`, strict JSON, version 1."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, with_config

MAX_RECORDS_PER_ANSWER: Final = 5_000

_STRICT: Final = ConfigDict(extra="forbid", strict=True, frozen=True)

Count = Annotated[int, Field(ge=0)]
Duration = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Outcome(StrEnum):
    """How a request ended: `rejected` is the caller's mistake, `failed` is ours or a shard's."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One finished request of one deployment; a gateway keeps many, hence no model instance each.

    Attributes:
        seq: position in this gateway process's sequence, from 1, without gaps.
        shard_id: shard that answered, or the last one tried; empty when none was tried.
        class_id: request class it was routed as; empty when it was refused before.
        finished_at: end of the request [s since 1970, UTC].
        ttft_s: None when no token was seen, and for answers in one piece, whose first token nobody sees.
        tpot_s: None likewise, and for a single output token.
        e2e_s: None unless the outcome is `ok`.
        prompt_tokens: as the shard counted them; 0 when it did not say.
        output_tokens: as the shard counted them; the pieces that were passed on when it did not say.
        is_within_slo: outcome `ok` and every bound that could be measured holds.
    """

    seq: Annotated[int, Field(ge=1)]
    deployment: str
    shard_id: str
    class_id: str
    finished_at: Duration
    outcome: Outcome
    ttft_s: Duration | None
    tpot_s: Duration | None
    e2e_s: Duration | None
    prompt_tokens: Count
    output_tokens: Count
    is_within_slo: bool


class GatewayStats(BaseModel):
    """Answer of `GET /internal/stats?since=N`: the records from `seq` N on, oldest first.

    Attributes:
        instance: identity of the gateway process; a new one starts its sequence at 1.
        next_seq: what to give as `since` in the next call.
        in_flight: deployment -> requests inside the gateway just now; deployments without any are left out.
        num_lost: records from `since` on that the ring no longer held.
        records: at most `MAX_RECORDS_PER_ANSWER`; a full answer means that there may be more.
    """

    model_config = _STRICT

    instance: str
    next_seq: Annotated[int, Field(ge=1)]
    in_flight: dict[str, Count]
    num_lost: Count
    records: Annotated[list[RequestRecord], Field(max_length=MAX_RECORDS_PER_ANSWER)]
