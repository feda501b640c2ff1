"""The demo deployment: asked for once, as a person would ask; from there on it is a deployment like any other.

Run by `medley up` once vLLM and the demo model are there. What a person does to it afterwards stays: a demo that was
stopped is not started again, and background traffic that was switched off stays off.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_UP, Decimal
from enum import Enum, auto
from typing import Final

from django.conf import settings
from django.utils import timezone

from engine.domain.plan import Objective
from engine.market.local import PROVIDER
from webapp.core import services as core_services
from webapp.core.models import AuditEntry, Role, User
from webapp.deployments import services as deployment_services
from webapp.deployments.models import Deployment, DeploymentState
from webapp.planning import services as planning_services
from webapp.planning.models import PlanRequest, PlanState
from webapp.planning.services import PlanRequestSpec

NAME: Final = "demo"  # of the user, the deployment, the preset model and the preset workload
_BUDGET_SLOTS: Final = Decimal("2.5")  # two slots, and room for a price that moves a little
_SLO_TTFT_S: Final = 2.0
_SLO_TPOT_S: Final = 0.2
_BUDGET_STEP: Final = Decimal("0.0001")
_SOLVE_AGAIN: Final = frozenset({PlanState.DRAFT, PlanState.FAILED, PlanState.INFEASIBLE, PlanState.STALE})
_NO_DEMO: Final = frozenset({PlanState.FAILED, PlanState.INFEASIBLE, PlanState.STALE, PlanState.REJECTED})
_POLL_S: Final = 1.0
_TIMEOUT_S: Final = 600.0


class DemoState(Enum):
    """How far the demo is."""

    ON_ITS_WAY = auto()
    THERE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """State of the demo, and a sentence for people."""

    state: DemoState
    text: str


def ensure_demo(*, now: datetime) -> None:
    """Ask for the demo's plan, unless there is a deployment or an open request; a call changes nothing twice."""
    if Deployment.objects.filter(name=NAME).exists():
        return
    user = _ensure_user(now)
    request = _find_request()
    if request is None:
        planning_services.request_plan(actor=user, spec=define_spec(settings.MEDLEY_LOCAL_USD_PER_SLOT_HOUR), now=now)
    elif request.state in _SOLVE_AGAIN:
        planning_services.start_solve(actor=user, plan_request_id=request.pk, now=now)


def define_spec(usd_per_slot_hour: float) -> PlanRequestSpec:
    """Return what the demo asks for: as much as two slots of this host can do.

    Args:
        usd_per_slot_hour: price of one slot [USD/h].
    """
    budget = (_BUDGET_SLOTS * Decimal(str(usd_per_slot_hour))).quantize(_BUDGET_STEP, rounding=ROUND_UP)
    return PlanRequestSpec(
        deployment_name=NAME,
        objective=Objective.MAX_RATE,
        budget_usd_per_hour=budget,
        model_slug=NAME,
        workload_slug=NAME,
        slo_ttft_s=_SLO_TTFT_S,
        slo_tpot_s=_SLO_TPOT_S,
        allowed_providers=(PROVIDER,),
    )


def start_traffic(*, now: datetime) -> None:
    """Switch the background traffic on, unless it was ever switched before."""
    switches = AuditEntry.objects.filter(action="deployment.background-traffic", object_id=NAME)
    if Deployment.objects.filter(name=NAME).exists() and not switches.exists():
        deployment_services.set_background_traffic(actor=_ensure_user(now), name=NAME, is_on=True, now=now)


def read_report() -> DemoReport:
    """Return how far the demo is."""
    deployment = Deployment.objects.filter(name=NAME).first()
    if deployment is not None:
        return _describe_deployment(deployment)
    request = _find_request()
    if request is None:
        return DemoReport(state=DemoState.FAILED, text="nobody asked for the demo's plan")
    if request.state in _NO_DEMO:
        reason = request.state_reason or PlanState(request.state).label
        return DemoReport(state=DemoState.FAILED, text=f"its plan request {request.pk}: {reason}")
    if request.state == PlanState.AWAITING_APPROVAL:
        return DemoReport(state=DemoState.THERE, text="the demo's plan awaits approval on the console")
    return DemoReport(state=DemoState.ON_ITS_WAY, text=f"the demo's plan request is {request.state}")


def _describe_deployment(deployment: Deployment) -> DemoReport:
    if deployment.state == DeploymentState.LIVE:
        return DemoReport(state=DemoState.THERE, text="the demo deployment is live")
    if deployment.state in {DeploymentState.STOPPING, DeploymentState.STOPPED}:
        return DemoReport(state=DemoState.THERE, text="the demo deployment was stopped, and stays so")
    if deployment.state == DeploymentState.FAILED:
        return DemoReport(state=DemoState.FAILED, text=deployment.state_reason)
    return DemoReport(state=DemoState.ON_ITS_WAY, text=f"the demo deployment is {deployment.state}")


def _ensure_user(now: datetime) -> User:
    user = User.objects.filter(username=NAME).first()
    if user is None:
        user = core_services.create_user(actor=None, username=NAME, password=None, role=Role.PLANNER, now=now)
    return user


def _find_request() -> PlanRequest | None:
    return PlanRequest.objects.filter(deployment_name=NAME).order_by("-pk").first()


def wait_for_demo(
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    get_now: Callable[[], datetime] = timezone.now,
) -> DemoReport:
    """Return the report once the demo is there or cannot be; its traffic starts as soon as it can."""
    deadline_s = clock() + _TIMEOUT_S
    while True:
        start_traffic(now=get_now())
        report = read_report()
        if report.state is not DemoState.ON_ITS_WAY:
            return report
        if clock() > deadline_s:
            return DemoReport(state=DemoState.FAILED, text=f"{report.text} after {_TIMEOUT_S:.0f} s")
        sleep(_POLL_S)


def main() -> int:
    """Make sure that the demo is there; the last line of output says what became of it."""
    ensure_demo(now=timezone.now())
    report = wait_for_demo()
    sys.stdout.write(f"{report.text}\n")
    return 1 if report.state is DemoState.FAILED else 0
