"""The audit log."""

from datetime import datetime

import pytest

from webapp.core import audit
from webapp.core.models import AuditEntry, User

pytestmark = pytest.mark.django_db


class TestRecord:
    def test_keeps_who_did_what(self, planner: User, now: datetime) -> None:
        entry = audit.record(
            actor=planner, action="plan.solve", object_type="plan-request", object_id=7, now=now, detail={"by": "hand"}
        )
        kept = AuditEntry.objects.get()
        assert kept == entry
        assert (kept.created_at, kept.actor, kept.action) == (now, planner, "plan.solve")
        assert (kept.object_type, kept.object_id, kept.detail) == ("plan-request", "7", {"by": "hand"})
        assert str(kept) == "plan.solve plan-request 7"

    def test_lets_the_system_itself_act(self, now: datetime) -> None:
        audit.record(actor=None, action="plan.stale", object_type="plan-request", object_id="7", now=now)
        kept = AuditEntry.objects.get()
        assert kept.actor is None
        assert kept.detail == {}
