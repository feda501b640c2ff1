"""Reading policies and decisions."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.errors import EngineError
from webapp.approvals import checks
from webapp.approvals.models import Decision, Policy, Verdict
from webapp.core.models import User
from webapp.planning import selectors as planning_selectors


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """One decision; by a person or by a policy, the other is empty."""

    verdict: Verdict
    decided_by: str
    policy: str
    comment: str
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PastDecision:
    """A decision with the plan request it was about; `usd_per_hour` is what the plan cost."""

    plan_request_id: int
    deployment_name: str
    author: str
    usd_per_hour: Decimal
    decision: DecisionView


def list_policies() -> list[Policy]:
    """Return every policy, in the order in which they are checked."""
    return list(Policy.objects.order_by("pk"))


def find_decision(*, plan_request_id: int) -> DecisionView | None:
    """Return the decision on the plan of a request, or None."""
    row = Decision.objects.select_related("decided_by", "policy").filter(plan__request=plan_request_id).first()
    return None if row is None else row_to_view(row)


def list_decisions(*, limit: int = 50) -> list[PastDecision]:
    """Return the latest decisions on plans that still stand, newest first."""
    rows = Decision.objects.select_related("decided_by", "policy", "plan__request__author")
    rows = rows.defer("plan__body", "plan__instance", "plan__offers")
    return [
        PastDecision(
            plan_request_id=row.plan.request_id,
            deployment_name=row.plan.request.deployment_name,
            author=row.plan.request.author.get_username(),
            usd_per_hour=row.plan.usd_per_hour,
            decision=row_to_view(row),
        )
        for row in rows.order_by("-decided_at", "-pk")[:limit]
    ]


def row_to_view(row: Decision) -> DecisionView:
    """Return a stored decision as people and programs see it."""
    return DecisionView(
        verdict=Verdict(row.verdict),
        decided_by="" if row.decided_by is None else row.decided_by.get_username(),
        policy="" if row.policy is None else row.policy.name,
        comment=row.comment,
        decided_at=row.decided_at,
    )


def find_obstacle(*, actor: User, plan_request_id: int) -> str:
    """Return in words why `actor` cannot decide a plan request now; empty when nothing is in the way.

    Raises:
        NotFoundError: there is no such plan request.
    """
    request = planning_selectors.get_plan_request(pk=plan_request_id)
    try:
        checks.check_may_decide(actor=actor, request=request)
    except EngineError as error:
        return error.message
    return ""
