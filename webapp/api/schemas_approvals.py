"""What the REST calls on policies and decisions take and give."""

from typing import Annotated

from ninja import Schema
from pydantic import ConfigDict, Field, StrictInt


class DecisionIn(Schema):
    """A comment that becomes part of the decision, and the plan that it is about.

    With `plan_id`, only that very plan is decided. Without it, the decision is on the plan that the request has when
    the call is read: one solved again in between is refused, one solved again before the call is decided unseen.
    """

    model_config = ConfigDict(extra="forbid")

    comment: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""
    plan_id: Annotated[StrictInt, Field(ge=1)] | None = None


class PolicyOut(Schema):
    """Limits on plans; an empty list allows all, null leaves a limit out; money in USD per hour."""

    id: int
    name: str
    is_enabled: bool
    max_usd_per_hour: float | None
    allowed_providers: list[str]
    allowed_regions: list[str]
    self_approve_below_usd_per_hour: float | None
    self_approve_providers: list[str]
