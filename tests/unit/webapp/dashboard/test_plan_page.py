"""What a plan looks like: groups, bars and the proof, from engine values alone."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.domain.plan import Baseline, Objective, Plan
from webapp.dashboard import plan_page
from webapp.planning import selectors
from webapp.planning.models import PlanRequest, PlanState
from webapp.planning.selectors import PlanView

H100_OFFER = "aws:us-east-1:p5.48xlarge:on_demand"
SPOT_OFFER = "runpod:eu-1:L4:spot"

BuildView = Callable[[Plan], PlanView]


@pytest.fixture
def build_view(make_plan_request: Callable[..., PlanRequest]) -> BuildView:
    """Return the view of a priced request with a plan."""
    return lambda plan: selectors.get_plan_view(pk=make_plan_request(PlanState.PRICED, plan=plan).pk)


def _build(view: PlanView) -> plan_page.PlanPage:
    page = plan_page.build_page(view)
    assert page is not None
    return page


class TestBuildPage:
    def test_is_nothing_without_a_plan(self, make_plan_request: Callable[..., PlanRequest]) -> None:
        assert plan_page.build_page(selectors.get_plan_view(pk=make_plan_request().pk)) is None

    def test_counts_machines_of_one_offer_dearest_first(
        self, build_view: BuildView, make_plan: Callable[..., Plan]
    ) -> None:
        plan = make_plan(offers=[(SPOT_OFFER, 0.25), (H100_OFFER, 40.0), (SPOT_OFFER, 0.25)])
        rows = _build(build_view(plan)).machines
        assert [(row.count, row.offer_id, row.total_usd_per_hour) for row in rows] == [
            (1, H100_OFFER, 40.0),
            (2, SPOT_OFFER, 0.5),
        ]

    def test_puts_replicas_that_are_alike_into_one_row(
        self, build_view: BuildView, make_plan: Callable[..., Plan]
    ) -> None:
        plan = make_plan(offers=[(H100_OFFER, 40.0), (H100_OFFER, 40.0), (SPOT_OFFER, 0.25)])
        rows = _build(build_view(plan)).replicas
        assert [(row.ids, row.name, row.tensor_parallel, row.pipeline_parallel, row.layers) for row in rows] == [
            (("r1", "r2"), "r1 – r2", 8, 1, "32"),
            (("r3",), "r3", 8, 1, "32"),
        ]

    def test_compares_every_share_with_the_largest(self, build_view: BuildView, make_plan: Callable[..., Plan]) -> None:
        plan = make_plan()
        replica = replace(plan.replicas[0], shares={"p128-o64": 0.5, "p1024-o256": 0.25})
        (row,) = _build(build_view(replace(plan, replicas=(replica,)))).replicas
        assert [(cell.class_id, cell.share, cell.heat) for cell in row.cells] == [
            ("p128-o64", 0.5, 1.0),
            ("p1024-o256", 0.25, 0.5),
        ]

    def test_sets_the_plan_beside_simpler_ones(self, build_view: BuildView, make_plan: Callable[..., Plan]) -> None:
        plan = replace(make_plan(), baselines=_define_baselines())
        page = _build(build_view(plan))
        assert page.bar_unit == "requests/s"
        assert [(row.name, row.value, row.change, round(row.length, 6)) for row in page.bars] == [
            ("This plan", "10 requests/s", "", 1.0),
            ("Best single GPU type", "8 requests/s", "−20 %", 0.8),
            ("Same machines", "9.97 requests/s", "−0.3 %", 0.997),
            ("Nothing", "cannot", "", 0.0),
        ]

    def test_compares_money_when_cost_is_the_objective(
        self, build_view: BuildView, make_plan: Callable[..., Plan]
    ) -> None:
        plan = replace(make_plan(), objective=Objective.MIN_COST, baselines=_define_baselines()[:1])
        page = _build(build_view(plan))
        assert [(row.value, row.change, row.length) for row in page.bars] == [
            ("$40.00 per hour", "", 0.5),
            ("$80.00 per hour", "+100 %", 1.0),
        ]

    def test_tells_the_proof(self, build_view: BuildView, make_plan: Callable[..., Plan]) -> None:
        page = _build(build_view(make_plan()))
        assert [(row.name, row.value) for row in page.proof] == [
            ("Solver", "highs"),
            ("Objective", "10 requests/s"),
            ("Best bound", "10 requests/s"),
            ("Gap", "0 %"),
            ("Runtime", "0.50 s"),
        ]

    def test_has_no_cost_per_token_where_none_is_generated(
        self, build_view: BuildView, make_plan: Callable[..., Plan]
    ) -> None:
        view = build_view(make_plan())
        assert view.plan is not None
        assert view.plan.prediction is not None
        prediction = replace(view.plan.prediction, usd_per_mtok=float("inf"))
        view = replace(view, plan=replace(view.plan, prediction=prediction))
        assert _build(view).usd_per_mtok is None


def _define_baselines() -> tuple[Baseline, ...]:
    return (
        Baseline(name="best single GPU type", detail="L4", requests_per_s=8.0, usd_per_hour=80.0, is_feasible=True),
        Baseline(name="same machines", detail="", requests_per_s=9.97, usd_per_hour=40.0, is_feasible=True),
        Baseline(name="nothing", detail="", requests_per_s=0.0, usd_per_hour=0.0, is_feasible=False),
    )
