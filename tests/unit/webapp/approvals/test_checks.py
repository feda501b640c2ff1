"""What policies and roles say about a plan."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.domain.plan import Plan
from webapp.approvals import checks
from webapp.approvals.models import Policy
from webapp.planning.models import PlanRequest, PlanState

MakePlan = Callable[..., Plan]
MakePlanRequest = Callable[..., PlanRequest]


def _define_facts(usd_per_hour: str = "2", providers: tuple[str, ...] = ("local",)) -> checks.PlanFacts:
    return checks.PlanFacts(
        usd_per_hour=Decimal(usd_per_hour), providers=frozenset(providers), regions=frozenset({"this-host"})
    )


class TestReadFacts:
    """`read_facts`..."""

    def test_takes_cost_and_places_of_the_plan(self, make_plan_request: MakePlanRequest, make_plan: MakePlan) -> None:
        plan = make_plan([("aws:us-east-1:p5.48xlarge:on_demand", 40.0), ("runpod:eu-1:L4:spot", 0.25)])
        facts = checks.read_facts(make_plan_request(PlanState.PRICED, plan=plan).plan)
        assert facts == checks.PlanFacts(
            usd_per_hour=Decimal("40.25"),
            providers=frozenset({"aws", "runpod"}),
            regions=frozenset({"us-east-1", "eu-1"}),
        )


class TestListViolations:
    """`list_violations`..."""

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            ({}, []),
            ({"max_usd_per_hour": Decimal("2")}, []),
            ({"max_usd_per_hour": Decimal("1.99")}, ["costs 2 USD/h, at most 1.99 are allowed"]),
            ({"allowed_providers": ["local", "aws"]}, []),
            ({"allowed_providers": ["aws"]}, ["provider local is not allowed"]),
            ({"allowed_regions": ["this-host"]}, []),
            ({"allowed_regions": ["eu-1"]}, ["region this-host is not allowed"]),
            (
                {"max_usd_per_hour": Decimal("1"), "allowed_providers": ["aws"], "allowed_regions": ["eu-1"]},
                [
                    "costs 2 USD/h, at most 1 are allowed",
                    "provider local is not allowed",
                    "region this-host is not allowed",
                ],
            ),
        ],
    )
    def test_names_every_limit_that_is_broken(self, limits: dict[str, object], expected: list[str]) -> None:
        assert checks.list_violations(Policy(name="p", **limits), _define_facts()) == expected


class TestFindSelfApproving:
    """`find_self_approving`..."""

    @pytest.mark.parametrize(
        ("below", "providers", "facts", "is_found"),
        [
            ("2.01", ["local"], _define_facts(), True),
            ("2", ["local"], _define_facts(), False),
            (None, ["local"], _define_facts(), False),
            ("9", [], _define_facts(), False),
            ("9", ["local"], _define_facts(providers=("local", "aws")), False),
            ("9", ["local"], _define_facts(providers=()), False),
            ("9", ["local", "aws"], _define_facts(providers=("local", "aws")), True),
        ],
    )
    def test_wants_a_cost_below_the_limit_wholly_on_its_providers(
        self, below: str | None, providers: list[str], facts: checks.PlanFacts, is_found: bool
    ) -> None:
        limit = None if below is None else Decimal(below)
        policy = Policy(name="p", self_approve_below_usd_per_hour=limit, self_approve_providers=providers)
        assert checks.find_self_approving([Policy(name="other"), policy], facts) == (policy if is_found else None)
