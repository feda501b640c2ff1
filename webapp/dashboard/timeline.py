"""The past of a plan request, from the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from webapp.core.models import AuditEntry
from webapp.planning.models import PlanState

_OBJECT_TYPE: Final = "plan-request"
_TITLES: Final = {
    "plan-request.create": "Asked for",
    "plan-request.approve": "Decision: approved",
    "plan-request.reject": "Decision: rejected",
    "plan-request.requeue": "Queued again: its worker had gone",
}
_TONES: Final = {"plan-request.approve": PlanState.LIVE, "plan-request.reject": PlanState.REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing that happened; `state` gives its tone."""

    at: datetime
    actor: str
    title: str
    text: str
    state: str


def list_timeline(*, plan_request_id: int) -> tuple[TimelineEntry, ...]:
    """Return what happened to a plan request, newest first."""
    rows = AuditEntry.objects.select_related("actor").filter(object_type=_OBJECT_TYPE, object_id=str(plan_request_id))
    return tuple(_row_to_entry(row) for row in rows.order_by("-created_at", "-pk"))


def _row_to_entry(row: AuditEntry) -> TimelineEntry:
    state = str(row.detail.get("to", _TONES.get(row.action, "")))
    title = _TITLES.get(row.action) or (PlanState(state).label if state in set(PlanState) else row.action)
    text = str(row.detail.get("reason") or row.detail.get("comment") or "")
    actor = "" if row.actor is None else row.actor.get_username()
    return TimelineEntry(at=row.created_at, actor=actor, title=title, text=text, state=state)
