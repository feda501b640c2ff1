"""What policies and roles say about a plan; nothing here writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from engine.errors import InvalidInputError
from webapp.approvals.models import Policy
from webapp.core.errors import ConflictError, ForbiddenError
from webapp.core.models import User
from webapp.core.permissions import APPROVALS_DECIDE, require
from webapp.planning.models import Plan, PlanRequest, PlanState

MAX_COMMENT: Final = 1000  # characters; a longer explanation belongs elsewhere


class SelfApprovalError(ForbiddenError):
    """The author asks to decide the own plan."""

    code = "self_approval"


class NotAwaitingApprovalError(ConflictError):
    """The plan request does not wait for a decision: taken already, or not reached yet."""

    code = "not_awaiting_approval"


class PlanChangedError(ConflictError):
    """The plan request was solved again after the actor has seen its plan."""

    code = "plan_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPlan:
    """What somebody decides about: the request, and the plan that was seen."""

    request_id: int
    plan_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """What policies look at."""

    usd_per_hour: Decimal
    providers: frozenset[str]
    regions: frozenset[str]


def read_facts(plan: Plan) -> PlanFacts:
    """Return what policies look at in a stored plan."""
    offers: Mapping[str, Mapping[str, object]] = plan.offers
    return PlanFacts(
        usd_per_hour=plan.usd_per_hour,
        providers=frozenset(str(offer["provider"]) for offer in offers.values()),
        regions=frozenset(str(offer["region"]) for offer in offers.values()),
    )


def list_violations(policy: Policy, facts: PlanFacts) -> list[str]:
    """Return in words every limit of `policy` that the plan breaks."""
    found = []
    if policy.max_usd_per_hour is not None and facts.usd_per_hour > policy.max_usd_per_hour:
        cost, limit = (f"{value.normalize():f}" for value in (facts.usd_per_hour, policy.max_usd_per_hour))
        found.append(f"costs {cost} USD/h, at most {limit} are allowed")
    for word, used, allowed in (
        ("provider", facts.providers, policy.allowed_providers),
        ("region", facts.regions, policy.allowed_regions),
    ):
        if allowed and (others := sorted(used - set(allowed))):
            found.append(f"{word} {', '.join(others)} is not allowed")
    return found


def find_self_approving(policies: Iterable[Policy], facts: PlanFacts) -> Policy | None:
    """Return the first policy that lets the plan approve itself: cheap enough and wholly on its providers."""
    return next((policy for policy in policies if _lets_approve_itself(policy, facts)), None)


def _lets_approve_itself(policy: Policy, facts: PlanFacts) -> bool:
    limit = policy.self_approve_below_usd_per_hour
    is_wholly_there = bool(facts.providers) and facts.providers <= set(policy.self_approve_providers)
    return limit is not None and facts.usd_per_hour < limit and is_wholly_there


def check_may_decide(*, actor: User, request: PlanRequest) -> None:
    """Return when `actor` may decide this plan request now.

    Raises:
        ForbiddenError: the role does not include decisions.
        SelfApprovalError: the actor is the author.
        NotAwaitingApprovalError: the request does not wait for a decision.
    """
    require(actor, APPROVALS_DECIDE)
    if request.author_id == actor.pk:
        raise SelfApprovalError(
            f"plan request {request.pk} is your own; someone else must decide it", plan_request_id=request.pk
        )
    if request.state != PlanState.AWAITING_APPROVAL:
        label = PlanState(request.state).label.lower()
        raise NotAwaitingApprovalError(
            f"plan request {request.pk} is {label}, it does not wait for a decision",
            plan_request_id=request.pk,
            state=request.state,
        )


def check_comment(comment: str) -> None:
    """Return when a comment can be kept.

    Raises:
        InvalidInputError: it is too long, or holds a zero byte.
    """
    if len(comment) > MAX_COMMENT or "\x00" in comment:
        raise InvalidInputError(
            "comment: is too long or cannot be stored", field="comment", remedy=f"give up to {MAX_COMMENT} characters"
        )


def check_seen(seen: SeenPlan, *, request: PlanRequest) -> None:
    """Return when the plan that was seen is still the request's.

    Raises:
        PlanChangedError: there is another plan now.
    """
    if seen.plan_id != request.plan.pk:
        raise PlanChangedError(
            f"plan request {request.pk} was solved again after you saw its plan; look at the new one",
            plan_request_id=request.pk,
        )
