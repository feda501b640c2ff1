"""Moving plan requests: the only place that changes a state; each move is one audit row and two events."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.db import transaction

from webapp.core import audit, events
from webapp.core.errors import ConflictError, NotFoundError
from webapp.core.models import User
from webapp.planning import states
from webapp.planning.models import PlanRequest, PlanState

OBJECT_TYPE: Final = "plan-request"  # of audit rows
TOPIC_ALL: Final = "plan-requests"


class IllegalTransitionError(ConflictError):
    """The transition table has no such move; `data` has `state` and `to`."""

    code = "illegal_transition"


def define_topic(plan_request_id: int) -> str:
    """Return the topic of one plan request's events."""
    return f"plan-request:{plan_request_id}"


def lock_plan_request(plan_request_id: int) -> PlanRequest:
    """Return the row, locked until the surrounding transaction ends.

    Raises:
        NotFoundError: there is no such plan request.
    """
    request = PlanRequest.objects.select_for_update().filter(pk=plan_request_id).first()
    if request is None:
        raise NotFoundError(f"there is no plan request {plan_request_id}", field="plan_request_id")
    return request


@transaction.atomic
def move(
    *, plan_request_id: int, to: PlanState, reason: str = "", actor: User | None = None, now: datetime
) -> PlanRequest:
    """Move a plan request to another state; return its row.

    Args:
        reason: sentence for people; it stays beside the state.
        actor: who caused it; None for the system.
    Raises:
        NotFoundError: there is no such plan request.
        IllegalTransitionError: the table does not allow the move, also not to the state it is in.
    """
    request = lock_plan_request(plan_request_id)
    move_locked(request, to=to, reason=reason, actor=actor, now=now)
    return request


def move_locked(
    request: PlanRequest,
    *,
    to: PlanState,
    reason: str = "",
    actor: User | None = None,
    now: datetime,
    changes: Mapping[str, object] | None = None,
) -> None:
    """Move a row that the surrounding transaction has locked, with further fields in the same UPDATE.

    Raises:
        IllegalTransitionError: the table does not allow the move.
    """
    state = PlanState(request.state)
    if not states.can_move(state, to):
        raise IllegalTransitionError(
            f"plan request {request.pk} is {state.label.lower()}, so it cannot become {to.label.lower()}",
            plan_request_id=request.pk,
            state=state.value,
            to=to.value,
        )
    fields = {"state": to.value, "state_reason": reason, "updated_at": now, **(changes or {})}
    for name, value in fields.items():
        setattr(request, name, value)
    request.save(update_fields=list(fields))
    _report(request, state=state, to=to, reason=reason, actor=actor, now=now)


def _report(
    request: PlanRequest, *, state: PlanState, to: PlanState, reason: str, actor: User | None, now: datetime
) -> None:
    detail = {"from": state.value, "to": to.value, "reason": reason}
    audit.record(
        actor=actor, action="plan-request.move", object_type=OBJECT_TYPE, object_id=request.pk, now=now, detail=detail
    )
    payload = {"state": to.value, "reason": reason}
    events.emit(topic=define_topic(request.pk), kind="state", payload=payload, now=now)
    events.emit(topic=TOPIC_ALL, kind="state", payload={"id": request.pk, "state": to.value}, now=now)
