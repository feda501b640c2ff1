"""Reading policies and decisions."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from webapp.approvals import selectors, services
from webapp.approvals.models import Policy, Verdict
from webapp.core.errors import NotFoundError
from webapp.core.models import User
from webapp.planning.models import PlanRequest, PlanState

MakePlanRequest = Callable[..., PlanRequest]


class TestFindDecision:
    """`find_decision`..."""

    def test_gives_who_decided_or_none(self, make_plan_request: MakePlanRequest, approver: User, now: datetime) -> None:
        request = make_plan_request(PlanState.AWAITING_APPROVAL)
        assert selectors.find_decision(plan_request_id=request.pk) is None
        services.reject(actor=approver, plan_request_id=request.pk, comment="no", now=now)
        assert selectors.find_decision(plan_request_id=request.pk) == selectors.DecisionView(
            verdict=Verdict.REJECTED, decided_by="approver", policy="", comment="no", decided_at=now
        )

    def test_names_the_policy_that_decided(self, make_plan_request: MakePlanRequest, now: datetime) -> None:
        Policy.objects.create(name="Local only", allowed_providers=["local"])
        request = make_plan_request(PlanState.PRICED)
        services.check_policies(plan_request_id=request.pk, now=now)
        decision = selectors.find_decision(plan_request_id=request.pk)
        assert decision is not None
        assert (decision.decided_by, decision.policy) == ("", "Local only")


class TestListDecisions:
    """`list_decisions`..."""

    def test_gives_the_newest_first_with_what_they_were_about(
        self, make_plan_request: MakePlanRequest, approver: User, now: datetime
    ) -> None:
        first, second = (make_plan_request(PlanState.AWAITING_APPROVAL) for _ in range(2))
        for number, request in enumerate((first, second)):
            instant = now + timedelta(minutes=number)
            services.reject(actor=approver, plan_request_id=request.pk, comment=f"no {number}", now=instant)
        found = selectors.list_decisions()
        assert [(item.plan_request_id, item.decision.comment) for item in found] == [
            (second.pk, "no 1"),
            (first.pk, "no 0"),
        ]
        assert (found[0].deployment_name, found[0].author, found[0].usd_per_hour) == ("chat", "author", Decimal(40))
        assert len(selectors.list_decisions(limit=1)) == 1

    def test_asks_the_database_once(
        self,
        make_plan_request: MakePlanRequest,
        approver: User,
        now: datetime,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        for _ in range(3):
            request = make_plan_request(PlanState.AWAITING_APPROVAL)
            services.reject(actor=approver, plan_request_id=request.pk, now=now)
        with django_assert_num_queries(1):
            assert len(selectors.list_decisions()) == 3


class TestFindObstacle:
    """`find_obstacle`..."""

    @pytest.mark.parametrize(
        ("role", "words"),
        [("viewer", "does not include"), ("planner", "does not include"), ("approver", ""), ("admin", "")],
    )
    def test_says_why_a_role_cannot_decide(
        self, make_plan_request: MakePlanRequest, role: str, words: str, request: pytest.FixtureRequest
    ) -> None:
        actor = request.getfixturevalue(role)
        awaiting = make_plan_request(PlanState.AWAITING_APPROVAL)
        found = selectors.find_obstacle(actor=actor, plan_request_id=awaiting.pk)
        assert words in found
        assert bool(found) == bool(words)

    def test_says_that_it_is_decided(self, make_plan_request: MakePlanRequest, approver: User) -> None:
        live = make_plan_request(PlanState.LIVE)
        assert "is live" in selectors.find_obstacle(actor=approver, plan_request_id=live.pk)

    def test_refuses_a_request_that_is_not_there(self, approver: User) -> None:
        with pytest.raises(NotFoundError):
            selectors.find_obstacle(actor=approver, plan_request_id=1)


class TestListPolicies:
    """`list_policies`..."""

    @pytest.mark.django_db
    def test_gives_them_in_the_order_of_checks(self) -> None:
        for name in ("b", "a"):
            Policy.objects.create(name=name)
        assert [policy.name for policy in selectors.list_policies()] == ["b", "a"]
