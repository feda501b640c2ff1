"""Reading plan requests and plans."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from engine.domain.plan import Plan
from webapp.core.errors import NotFoundError
from webapp.planning import selectors, solving
from webapp.planning.models import PlanRequest, PlanState

MakePlan = Callable[..., Plan]
MakePlanRequest = Callable[..., PlanRequest]

H100_OFFER = "aws:us-east-1:p5.48xlarge:on_demand"


class TestListPlanRequests:
    """`list_plan_requests`..."""

    def test_gives_the_newest_first_with_the_cost_of_their_plans(self, make_plan_request: MakePlanRequest) -> None:
        first, second = make_plan_request(PlanState.PRICED), make_plan_request()
        found = selectors.list_plan_requests()
        assert [item.id for item in found] == [second.pk, first.pk]
        assert [item.usd_per_hour for item in found] == [None, Decimal(40)]
        assert (found[1].author, found[1].model_slug, found[1].model_name) == ("author", "llama-8b", "Llama 8B")
        assert (found[1].workload_slug, found[1].state) == ("mix", PlanState.PRICED)

    def test_filters_by_state_and_deployment(self, make_plan_request: MakePlanRequest) -> None:
        draft, other = make_plan_request(), make_plan_request(deployment_name="other")
        priced = make_plan_request(PlanState.PRICED)
        assert {item.id for item in selectors.list_plan_requests(states=[PlanState.DRAFT])} == {draft.pk, other.pk}
        assert [item.id for item in selectors.list_plan_requests(deployment_name="other")] == [other.pk]
        assert [item.id for item in selectors.list_plan_requests(limit=1)] == [priced.pk]

    def test_asks_the_database_once(
        self, make_plan_request: MakePlanRequest, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _ in range(3):
            make_plan_request(PlanState.PRICED)
        with django_assert_num_queries(1):
            assert len(selectors.list_plan_requests()) == 3


class TestGetPlanView:
    """`get_plan_view`..."""

    def test_holds_the_request_without_a_plan(self, make_plan_request: MakePlanRequest) -> None:
        request = make_plan_request(allowed_providers=("aws",), requests_per_s=4.0)
        view = selectors.get_plan_view(pk=request.pk)
        assert (view.plan, view.difference, view.progress, dict(view.offers)) == (None, None, None, {})
        assert (view.allowed_providers, view.workload.requests_per_s, view.slo.ttft_s) == (("aws",), 4.0, 2.0)
        assert view.can_solve
        assert not view.is_plan_current

    def test_holds_the_plan_its_offers_and_what_it_changes(
        self, make_plan_request: MakePlanRequest, make_plan: MakePlan
    ) -> None:
        plan = make_plan()
        request = make_plan_request(PlanState.PRICED, plan=plan)
        view = selectors.get_plan_view(pk=request.pk, running_plan=make_plan([(H100_OFFER, 40.0)] * 2))
        assert (view.plan, view.is_plan_current, view.can_solve) == (plan, True, False)
        offer = view.offers[H100_OFFER]
        assert (offer.provider, offer.gpu_name, offer.gpu_count) == ("aws", "H100", 8)
        assert (offer.usd_per_hour, offer.available_count, offer.source) == (Decimal(40), None, "price list")
        assert view.difference is not None
        assert [item.change for item in view.difference.machines] == [-1]

    def test_holds_the_progress_of_a_solve(self, make_plan_request: MakePlanRequest, now: datetime) -> None:
        request = make_plan_request(PlanState.SOLVING)
        solving.record_progress(
            plan_request_id=request.pk, solve_token=request.solve_token, phase="solve", fraction=0.5, now=now
        )
        view = selectors.get_plan_view(pk=request.pk)
        assert view.progress == selectors.Progress(phase="solve", fraction=0.5, text="Solving")

    @pytest.mark.parametrize(
        ("state", "is_current"),
        [(PlanState.SOLVING, False), (PlanState.FAILED, False), (PlanState.LIVE, True), (PlanState.STALE, True)],
    )
    def test_tells_an_earlier_plan_from_the_current_one(
        self, make_plan_request: MakePlanRequest, state: PlanState, is_current: bool
    ) -> None:
        request = make_plan_request(PlanState.PRICED)
        PlanRequest.objects.filter(pk=request.pk).update(state=state)
        assert selectors.get_plan_view(pk=request.pk).is_plan_current == is_current

    @pytest.mark.django_db
    def test_refuses_a_request_that_is_not_there(self) -> None:
        with pytest.raises(NotFoundError, match="no plan request 3"):
            selectors.get_plan_view(pk=3)


class TestFindPlan:
    """`find_plan`..."""

    def test_gives_the_engines_plan_or_none(self, make_plan_request: MakePlanRequest, make_plan: MakePlan) -> None:
        assert selectors.find_plan(request_id=make_plan_request().pk) is None
        assert selectors.find_plan(request_id=make_plan_request(PlanState.PRICED).pk) == make_plan()


class TestGetInstance:
    """`get_instance`..."""

    def test_gives_the_instance_file(self, make_plan_request: MakePlanRequest) -> None:
        assert selectors.get_instance(pk=make_plan_request(PlanState.PRICED).pk) == {"name": "test"}

    def test_refuses_a_request_without_a_plan(self, make_plan_request: MakePlanRequest) -> None:
        with pytest.raises(NotFoundError, match="has no plan yet"):
            selectors.get_instance(pk=make_plan_request().pk)


class TestListUncheckedIds:
    """`list_unchecked_ids`..."""

    def test_gives_priced_requests_that_nobody_checked(self, make_plan_request: MakePlanRequest, now: datetime) -> None:
        priced = make_plan_request(PlanState.PRICED)
        make_plan_request(PlanState.AWAITING_APPROVAL)
        assert selectors.list_unchecked_ids(before=now) == [priced.pk]
        assert selectors.list_unchecked_ids(before=now - timedelta(seconds=1)) == []
