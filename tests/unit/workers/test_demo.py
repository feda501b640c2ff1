"""The demo: asked for once, then left to people."""

from datetime import datetime
from decimal import Decimal

import pytest

from tests.support.supervision import FakeClock
from webapp.core.models import Role, User
from webapp.deployments import services as deployment_services
from webapp.deployments.models import Deployment, DeploymentState
from webapp.market import services as market_services
from webapp.planning.models import PlanRequest, PlanState
from workers import demo
from workers.demo import DemoReport, DemoState
from workers.up import steps

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the tasks that were queued; nothing is sent."""
    names: list[str] = []
    monkeypatch.setattr("webapp.core.queue._send_now", lambda name, _queue, _kwargs: names.append(name))
    return names


@pytest.fixture(autouse=True)
def _installed(now: datetime) -> None:
    """Bring the database to where `medley up` brings it."""
    market_services.refresh_local_offers(now=now)
    steps.ensure_presets(now=now)


def make_deployment(request: PlanRequest, now: datetime, state: DeploymentState = DeploymentState.LIVE) -> Deployment:
    return Deployment.objects.create(
        name=demo.NAME,
        state=state,
        state_reason="no room" if state == DeploymentState.FAILED else "",
        plan_request=request,
        budget_usd_per_hour=Decimal("0.0500"),
        created_at=now,
        updated_at=now,
    )


def get_request() -> PlanRequest:
    return PlanRequest.objects.get(deployment_name=demo.NAME)


class TestEnsureDemo:
    def test_asks_as_a_person_without_a_password(self, now: datetime) -> None:
        demo.ensure_demo(now=now)
        request = get_request()
        assert (request.state, request.objective) == (PlanState.SOLVING, "max_rate")
        assert request.allowed_providers == ["local"]
        assert (request.author.username, request.author.role) == ("demo", Role.PLANNER)
        assert not request.author.has_usable_password()

    def test_asks_once(self, now: datetime) -> None:
        demo.ensure_demo(now=now)
        demo.ensure_demo(now=now)
        assert PlanRequest.objects.count() == 1
        assert User.objects.filter(username="demo").count() == 1

    @pytest.mark.parametrize("state", [PlanState.FAILED, PlanState.INFEASIBLE, PlanState.STALE])
    def test_solves_again_what_came_to_nothing(self, now: datetime, state: PlanState) -> None:
        demo.ensure_demo(now=now)
        PlanRequest.objects.update(state=state)
        demo.ensure_demo(now=now)
        assert get_request().state == PlanState.SOLVING

    @pytest.mark.parametrize("state", [PlanState.REJECTED, PlanState.AWAITING_APPROVAL])
    def test_leaves_what_waits_or_was_decided(self, now: datetime, state: PlanState) -> None:
        demo.ensure_demo(now=now)
        PlanRequest.objects.update(state=state)
        demo.ensure_demo(now=now)
        assert get_request().state == state

    def test_does_not_bring_back_what_a_person_stopped(self, now: datetime) -> None:
        demo.ensure_demo(now=now)
        PlanRequest.objects.update(state=PlanState.STOPPED)
        make_deployment(get_request(), now, DeploymentState.STOPPED)
        demo.ensure_demo(now=now)
        assert get_request().state == PlanState.STOPPED


class TestDefineSpec:
    @pytest.mark.parametrize(("price", "budget"), [(0.02, "0.0500"), (0.6, "1.5000")])
    def test_carries_two_slots_and_not_three(self, price: float, budget: str) -> None:
        assert demo.define_spec(price).budget_usd_per_hour == Decimal(budget)


class TestStartTraffic:
    def test_waits_for_the_deployment(self, now: datetime) -> None:
        demo.start_traffic(now=now)
        assert not Deployment.objects.exists()

    def test_switches_it_on_once(self, now: datetime) -> None:
        demo.ensure_demo(now=now)
        make_deployment(get_request(), now)
        demo.start_traffic(now=now)
        assert Deployment.objects.get().has_background_traffic
        deployment_services.set_background_traffic(actor=None, name=demo.NAME, is_on=False, now=now)
        demo.start_traffic(now=now)
        assert not Deployment.objects.get().has_background_traffic


class TestReadReport:
    def test_says_that_nobody_asked(self) -> None:
        assert demo.read_report().state is DemoState.FAILED

    @pytest.mark.parametrize(
        ("state", "reason", "report"),
        [
            (PlanState.SOLVING, "", (DemoState.ON_ITS_WAY, "the demo's plan request is solving")),
            (PlanState.AWAITING_APPROVAL, "", (DemoState.THERE, "the demo's plan awaits approval on the console")),
            (PlanState.INFEASIBLE, "no slots", (DemoState.FAILED, "its plan request {pk}: no slots")),
            (PlanState.REJECTED, "", (DemoState.FAILED, "its plan request {pk}: Rejected")),
        ],
    )
    def test_tells_of_the_plan(
        self, now: datetime, state: PlanState, reason: str, report: tuple[DemoState, str]
    ) -> None:
        demo.ensure_demo(now=now)
        PlanRequest.objects.update(state=state, state_reason=reason)
        text = report[1].format(pk=get_request().pk)
        assert demo.read_report() == DemoReport(state=report[0], text=text)

    @pytest.mark.parametrize(
        ("state", "report"),
        [
            (DeploymentState.APPLYING, (DemoState.ON_ITS_WAY, "the demo deployment is applying")),
            (DeploymentState.LIVE, (DemoState.THERE, "the demo deployment is live")),
            (DeploymentState.STOPPED, (DemoState.THERE, "the demo deployment was stopped, and stays so")),
            (DeploymentState.FAILED, (DemoState.FAILED, "no room")),
        ],
    )
    def test_tells_of_the_deployment(
        self, now: datetime, state: DeploymentState, report: tuple[DemoState, str]
    ) -> None:
        demo.ensure_demo(now=now)
        make_deployment(get_request(), now, state)
        assert demo.read_report() == DemoReport(state=report[0], text=report[1])


class TestWaitForDemo:
    def test_starts_traffic_and_returns_once_it_is_live(self, now: datetime) -> None:
        clock = FakeClock()
        demo.ensure_demo(now=now)

        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            if clock.now_s == 3.0:
                make_deployment(get_request(), now)

        report = demo.wait_for_demo(clock=clock, sleep=sleep, get_now=lambda: now)
        assert (report.state, clock.now_s) == (DemoState.THERE, 3.0)
        assert Deployment.objects.get().has_background_traffic

    def test_gives_up(self, now: datetime) -> None:
        clock = FakeClock()
        demo.ensure_demo(now=now)
        report = demo.wait_for_demo(clock=clock, sleep=clock.sleep, get_now=lambda: now)
        assert report == DemoReport(state=DemoState.FAILED, text="the demo's plan request is solving after 600 s")
