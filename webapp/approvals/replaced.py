"""What a new plan would replace, and whether a policy may let that happen without a person."""

from typing import Final

from django.db.models import QuerySet

from webapp.approvals.models import Decision, Verdict
from webapp.planning.models import PlanRequest, PlanState

_CURRENT: Final = (PlanState.APPROVED, PlanState.APPLYING, PlanState.LIVE)
_SYSTEM_AUTHOR: Final = "demo"  # asks for the demo deployment at the first start; everybody may replace that


def needs_person(request: PlanRequest) -> bool:
    """Return whether the plan would replace one that a person approved, or that another person asked for."""
    current = _list_current(request)
    foreign = current.exclude(author=request.author_id).exclude(author__username=_SYSTEM_AUTHOR)
    decided = Decision.objects.filter(plan__request__in=current, verdict=Verdict.APPROVED, decided_by__isnull=False)
    return foreign.exists() or decided.exists()


def _list_current(request: PlanRequest) -> QuerySet[PlanRequest]:
    """Return the requests whose plans the deployment of `request` has, or is about to get."""
    rows = PlanRequest.objects.filter(deployment_name=request.deployment_name, state__in=_CURRENT)
    return rows.exclude(pk=request.pk)
