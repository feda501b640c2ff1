"""Deciding priced plans: policies first, then a person who is not the author."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from engine.market.local import PROVIDER as LOCAL_PROVIDER
from webapp.approvals import checks, replaced
from webapp.approvals.checks import NotAwaitingApprovalError, PlanChangedError, SeenPlan, SelfApprovalError
from webapp.approvals.models import Decision, Policy, Verdict
from webapp.core import audit
from webapp.core.models import AuditEntry, User
from webapp.core.permissions import CORE_ADMIN, require
from webapp.core.queue import send_task
from webapp.planning import selectors as planning_selectors
from webapp.planning import services as planning_services
from webapp.planning.models import PlanRequest, PlanState
from webapp.planning.stock import CountTaken, count_nothing

__all__ = [
    "NotAwaitingApprovalError",
    "PlanChangedError",
    "SelfApprovalError",
    "approve",
    "check_policies",
    "delete_policy",
    "ensure_default_policy",
    "reject",
    "save_policy",
]

APPLY_TASK: Final = "deployments.apply"
APPLY_QUEUE: Final = "operate"
DEFAULT_POLICY: Final = "Small local plans"
_DEFAULT_SELF_APPROVE_BELOW: Final = Decimal("1.0000")  # USD/h; slots of this host cost cents, a cloud GPU more
_ENSURE_ACTION: Final = "policy.create-default"
_STATE_BY_VERDICT: Final = {Verdict.APPROVED: PlanState.APPROVED, Verdict.REJECTED: PlanState.REJECTED}
_ACTION_BY_VERDICT: Final = {Verdict.APPROVED: "plan-request.approve", Verdict.REJECTED: "plan-request.reject"}


@transaction.atomic
def ensure_default_policy(*, now: datetime) -> None:
    """Let small plans that stay on this host approve themselves.

    Only once in the life of an installation: what admins change or delete afterwards stays as they left it.
    """
    if AuditEntry.objects.filter(action=_ENSURE_ACTION).exists():
        return
    given = {
        "self_approve_below_usd_per_hour": _DEFAULT_SELF_APPROVE_BELOW,
        "self_approve_providers": [LOCAL_PROVIDER],
    }
    policy, _ = Policy.objects.get_or_create(name=DEFAULT_POLICY, defaults=given)
    audit.record(actor=None, action=_ENSURE_ACTION, object_type="policy", object_id=policy.pk, now=now)


@transaction.atomic
def save_policy(*, actor: User, policy: Policy, now: datetime) -> Policy:
    """Store a policy that an admin made or changed.

    Raises:
        ForbiddenError: the actor is no admin.
    """
    require(actor, CORE_ADMIN)
    action = "policy.create" if policy.pk is None else "policy.change"
    policy.save()
    audit.record(
        actor=actor, action=action, object_type="policy", object_id=policy.pk, now=now, detail=_policy_to_detail(policy)
    )
    return policy


@transaction.atomic
def delete_policy(*, actor: User, policy: Policy, now: datetime) -> None:
    """Delete a policy that has decided nothing; one that has can only be switched off.

    Raises:
        ForbiddenError: the actor is no admin.
        ProtectedError: a decision refers to it.
    """
    require(actor, CORE_ADMIN)
    detail = _policy_to_detail(policy)
    policy_id = policy.pk
    policy.delete()
    audit.record(actor=actor, action="policy.delete", object_type="policy", object_id=policy_id, now=now, detail=detail)


def _policy_to_detail(policy: Policy) -> dict[str, object]:
    return {
        "name": policy.name,
        "is_enabled": policy.is_enabled,
        "max_usd_per_hour": _decimal_to_text(policy.max_usd_per_hour),
        "allowed_providers": policy.allowed_providers,
        "allowed_regions": policy.allowed_regions,
        "self_approve_below_usd_per_hour": _decimal_to_text(policy.self_approve_below_usd_per_hour),
        "self_approve_providers": policy.self_approve_providers,
    }


def _decimal_to_text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


@transaction.atomic
def check_policies(*, plan_request_id: int, now: datetime) -> PlanState:
    """Check a priced plan against every enabled policy; return the state of the request afterwards.

    A broken limit rejects it; a policy may approve it by itself, unless it would replace what somebody else asked for
    or a person approved; else it awaits a person. A request that is not
    priced stays as it is.

    Raises:
        NotFoundError: there is no such plan request.
    """
    request = planning_services.lock_plan_request(plan_request_id)
    if request.state != PlanState.PRICED:
        return PlanState(request.state)
    policies = list(Policy.objects.filter(is_enabled=True).order_by("pk"))
    facts = checks.read_facts(request.plan)
    planning_services.move_locked(request, to=PlanState.POLICY_CHECKED, reason=_count_policies(policies), now=now)
    for policy in policies:
        if found := checks.list_violations(policy, facts):
            reason = f"Policy {policy.name}: {'; '.join(found)}."
            _decide(request, verdict=Verdict.REJECTED, policy=policy, comment=reason, now=now)
            return PlanState.REJECTED
    generous = checks.find_self_approving(policies, facts)
    if generous is not None and not replaced.needs_person(request):
        reason = f"Policy {generous.name} lets plans like this approve themselves."
        _decide(request, verdict=Verdict.APPROVED, policy=generous, comment=reason, now=now)
        return PlanState.APPROVED
    planning_services.move_locked(request, to=PlanState.AWAITING_APPROVAL, now=now)
    return PlanState.AWAITING_APPROVAL


def _count_policies(policies: list[Policy]) -> str:
    return f"{len(policies)} {'policy' if len(policies) == 1 else 'policies'} checked."


def approve(
    *,
    actor: User,
    plan_request_id: int,
    comment: str = "",
    plan_id: int | None = None,
    now: datetime,
    count_taken: CountTaken = count_nothing,
) -> Decision:
    """Approve a plan that still holds, and queue applying it.

    Must not run inside a transaction: a plan found stale stays stale although the approval is refused.

    Args:
        plan_id: the plan that the actor has seen; None takes the one that the request has when the call begins.
        count_taken: counts what other deployments have of the stock; the plan cannot have it.
    Raises:
        NotFoundError: there is no such plan request.
        ForbiddenError: the role does not include decisions; SelfApprovalError: the actor is the author.
        NotAwaitingApprovalError: it does not wait for a decision, or somebody else was faster.
        PlanChangedError: it was solved again after the actor has seen it.
        StalePlanError: the market moved away from the plan.
        QueueUnavailableError: approved and stored, but the broker does not answer; the schedule applies it later.
    """
    seen = _see_plan(actor, plan_request_id, plan_id)
    planning_services.check_fresh(plan_request_id=plan_request_id, now=now, count_taken=count_taken)
    return _decide_as_person(actor=actor, seen=seen, verdict=Verdict.APPROVED, comment=comment, now=now)


def reject(
    *, actor: User, plan_request_id: int, comment: str = "", plan_id: int | None = None, now: datetime
) -> Decision:
    """Reject a plan; it can be solved again.

    Args:
        plan_id: the plan that the actor has seen; None takes the one that the request has when the call begins.
    Raises:
        NotFoundError: there is no such plan request.
        ForbiddenError: the role does not include decisions; SelfApprovalError: the actor is the author.
        NotAwaitingApprovalError: it does not wait for a decision, or somebody else was faster.
        PlanChangedError: it was solved again after the actor has seen it.
    """
    seen = _see_plan(actor, plan_request_id, plan_id)
    return _decide_as_person(actor=actor, seen=seen, verdict=Verdict.REJECTED, comment=comment, now=now)


def _see_plan(actor: User, plan_request_id: int, plan_id: int | None) -> SeenPlan:
    request = planning_selectors.get_plan_request(pk=plan_request_id)
    checks.check_may_decide(actor=actor, request=request)
    return SeenPlan(request_id=plan_request_id, plan_id=request.plan.pk if plan_id is None else plan_id)


@transaction.atomic
def _decide_as_person(*, actor: User, seen: SeenPlan, verdict: Verdict, comment: str, now: datetime) -> Decision:
    checks.check_comment(comment)
    request = planning_services.lock_plan_request(seen.request_id)
    checks.check_may_decide(actor=actor, request=request)  # under the lock: of two at once, the second is refused
    checks.check_seen(seen, request=request)
    return _decide(request, verdict=verdict, actor=actor, comment=comment, now=now)


def _decide(
    request: PlanRequest,
    *,
    verdict: Verdict,
    actor: User | None = None,
    policy: Policy | None = None,
    comment: str,
    now: datetime,
) -> Decision:
    """Store one decision on a locked request, with everything that follows from it."""
    decision = Decision.objects.create(
        plan=request.plan, verdict=verdict, decided_by=actor, policy=policy, comment=comment, decided_at=now
    )
    detail = {
        "comment": comment,
        "policy": None if policy is None else policy.name,
        "usd_per_hour": str(request.plan.usd_per_hour),
    }
    audit.record(
        actor=actor,
        action=_ACTION_BY_VERDICT[verdict],
        object_type="plan-request",
        object_id=request.pk,
        now=now,
        detail=detail,
    )
    planning_services.move_locked(request, to=_STATE_BY_VERDICT[verdict], reason=comment, actor=actor, now=now)
    if verdict is Verdict.APPROVED:
        send_task(APPLY_TASK, queue=APPLY_QUEUE, plan_request_id=request.pk)
    return decision
