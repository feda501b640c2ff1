"""The rental planner on small random instances, against brute force over all copies.

Source: specification of the rental planner, section 11 (checks 4, 6, 7, 11 and 14).
"""

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.domain.plan import Objective, SolveStatus
from engine.planners.rental.evaluate import check_assignment, evaluate_rate
from engine.planners.rental.infeasible import (
    find_largest_share,
    find_missing_stock,
    find_smallest_budget,
    list_infeasible_reasons,
)
from engine.planners.rental.instance import InstanceClass, InstanceConfiguration, RentalInstance
from engine.planners.rental.instance_file import answer_to_json, instance_to_json
from engine.planners.rental.instance_parser import parse_instance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.prices import price_rows
from engine.planners.rental.solver import Stopwatch
from tests.support.rental_instances import solve, still_clock
from tests.support.rental_oracle import find_optimum

pytestmark = pytest.mark.slow

OPTIONS = SolveOptions(mip_gap=1e-6, spot_max_share=0.5)
RANDOM = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
POOLS = ("n1", "n2", "n3")
CLASSES = (("w1", "a"), ("w2", "a"), ("w3", "b"))
# Speeds over five orders of magnitude, or not at all.
SPEEDS = st.one_of(st.sampled_from((0.0, 1.0, 2.0)), st.floats(0.1, 10.0), st.floats(1e-3, 100.0))
PRICES = st.integers(1, 40).map(lambda tenths: tenths / 10.0)


@st.composite
def configurations(draw: st.DrawFn, copy_id: str) -> InstanceConfiguration:
    model_id = draw(st.sampled_from(("a", "a", "a", "b")))
    pools = draw(st.lists(st.sampled_from(POOLS), min_size=1, max_size=2, unique=True))
    return InstanceConfiguration(
        id=copy_id,
        usd_per_hour=draw(PRICES),
        units={pool: draw(st.integers(1, 2)) for pool in pools},
        requests_per_s={class_id: draw(SPEEDS) for class_id, owner in CLASSES if owner == model_id},
        model_id=model_id,
        is_spot=draw(st.integers(0, 3)) == 0,
        max_copies=draw(st.sampled_from((None, None, None, 1))),
    )


@st.composite
def instances(draw: st.DrawFn, question: Objective | None = None) -> RentalInstance:
    objective = question or draw(st.sampled_from(Objective))
    demands = [draw(st.one_of(st.just(0.0), st.floats(1e-3, 1.0), st.floats(1e-3, 5.0))) for _ in CLASSES]
    assume(sum(demands) > 0.0)
    count = draw(st.integers(1, 4))
    budget = draw(st.integers(0, 20).map(float))
    is_open = objective is Objective.MIN_COST and draw(st.booleans())
    return RentalInstance(
        name="random",
        objective=objective,
        budget_usd_per_hour=None if is_open else budget,
        availability={pool: draw(st.integers(0, 3)) for pool in POOLS},
        classes=tuple(
            InstanceClass(id=class_id, demand=demand, model_id=owner)
            for (class_id, owner), demand in zip(CLASSES, demands, strict=True)
        ),
        configurations=tuple(draw(configurations(f"c{index}")) for index in range(count)),
    )


def make_watch() -> Stopwatch:
    return Stopwatch(clock=still_clock, limit_s=60.0)


def get_optimum(instance: RentalInstance) -> float:
    return find_optimum(instance, max_load=OPTIONS.max_load, spot_max_share=OPTIONS.spot_max_share)


def get_value(instance: RentalInstance, options: SolveOptions = OPTIONS) -> float:
    """Return the makespan [s] or the cost [USD/h] that the planner finds; inf when infeasible."""
    solution = solve(instance, options)
    if solution.objective is None:
        return math.inf
    return 1.0 / solution.objective if instance.objective is Objective.MAX_RATE else solution.objective


class TestRentalPlanner:
    @RANDOM
    @given(instances())
    def test_agrees_with_brute_force(self, instance: RentalInstance) -> None:
        solution = solve(instance, OPTIONS)
        optimum = get_optimum(instance)
        assert solution.status is (SolveStatus.OPTIMAL if math.isfinite(optimum) else SolveStatus.INFEASIBLE)
        assert get_value(instance) == pytest.approx(optimum, rel=1e-5)

    @RANDOM
    @given(instances())
    def test_returns_plans_that_hold_in_plain_arithmetic(self, instance: RentalInstance) -> None:
        assignment = solve(instance, OPTIONS).assignment
        assume(assignment is not None)
        assert assignment is not None
        check_assignment(instance, assignment, spot_max_share=OPTIONS.spot_max_share)
        assert evaluate_rate(instance, assignment.copies, assignment.shares) == pytest.approx(assignment.rate)

    @RANDOM
    @given(instances(), st.randoms(use_true_random=False))
    def test_ignores_the_order_of_offers(self, instance: RentalInstance, random: object) -> None:
        shuffled = list(instance.configurations)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        other = replace(instance, configurations=tuple(shuffled))
        assert solve(other, OPTIONS).assignment == solve(instance, OPTIONS).assignment

    @RANDOM
    @given(instances(), st.sampled_from(POOLS))
    def test_never_does_worse_with_more(self, instance: RentalInstance, pool: str) -> None:
        value = get_value(instance)
        richer = None if instance.budget_usd_per_hour is None else instance.budget_usd_per_hour + 1.0
        fewer = instance.with_configurations(item.id for item in instance.configurations[1:])
        assert get_value(instance.with_budget(richer)) <= value * (1 + 1e-5)
        assert get_value(instance.with_stock(pool, instance.availability[pool] + 1)) <= value * (1 + 1e-5)
        assert get_value(instance, replace(OPTIONS, spot_max_share=1.0)) <= value * (1 + 1e-5)
        assert get_value(fewer) >= value * (1 - 1e-5)

    @RANDOM
    @given(instances())
    def test_is_bounded_by_the_relaxation(self, instance: RentalInstance) -> None:
        solution = solve(instance, OPTIONS)
        prices = price_rows(instance, OPTIONS, time_limit_s=60.0)
        assume(solution.objective is not None)
        assert solution.objective is not None
        assert prices is not None
        if instance.objective is Objective.MAX_RATE:
            assert prices.bound >= solution.objective * (1 - 1e-6)
        else:
            assert prices.bound <= solution.objective * (1 + 1e-6)

    @RANDOM
    @given(instances())
    def test_is_written_and_read_as_a_file(self, instance: RentalInstance) -> None:
        parsed = parse_instance(instance_to_json(instance, OPTIONS))
        assert (parsed.instance, parsed.options) == (instance, OPTIONS)
        solution = solve(instance, OPTIONS)
        answer = answer_to_json(instance, solution)
        assert answer["status"] == solution.status.value

    @RANDOM
    @given(instances())
    def test_never_proves_anything_in_no_time(self, instance: RentalInstance) -> None:
        assert solve(instance, replace(OPTIONS, time_limit_s=0.0)).status is SolveStatus.NO_SOLUTION


class TestScaling:
    @RANDOM
    @given(instances(Objective.MAX_RATE), st.sampled_from((1e-3, 0.5, 7.0, 1e3)))
    def test_of_the_demand_scales_the_makespan(self, instance: RentalInstance, factor: float) -> None:
        larger = tuple(replace(item, demand=item.demand * factor) for item in instance.classes)
        scaled = get_value(replace(instance, classes=larger))
        assert scaled == pytest.approx(get_value(instance) * factor, rel=1e-5)

    @RANDOM
    @given(instances(Objective.MAX_RATE))
    def test_of_money_changes_nothing(self, instance: RentalInstance) -> None:
        assume(instance.budget_usd_per_hour)
        dearer = tuple(replace(item, usd_per_hour=item.usd_per_hour * 2) for item in instance.configurations)
        doubled = replace(instance, configurations=dearer).with_budget((instance.budget_usd_per_hour or 0.0) * 2)
        assert get_value(doubled) == pytest.approx(get_value(instance), rel=1e-5)


class TestDuality:
    @RANDOM
    @given(instances(Objective.MAX_RATE))
    def test_of_rate_and_cost(self, instance: RentalInstance) -> None:
        rate = solve(instance, OPTIONS).objective
        assume(rate is not None)
        assert rate is not None
        carried = tuple(replace(item, demand=item.demand * rate * (1 - 1e-6)) for item in instance.classes)
        dual = replace(instance, objective=Objective.MIN_COST, classes=carried).with_budget(None)
        cost = solve(dual, OPTIONS).objective
        assert cost is not None
        assert cost <= (instance.budget_usd_per_hour or 0.0) + 1e-6
        again = solve(instance.with_budget(cost), OPTIONS).objective
        assert again is not None
        assert again >= rate * (1 - 1e-5)


class TestInfeasible:
    @settings(RANDOM, max_examples=100)
    @given(instances())
    def test_always_has_a_reason_and_true_numbers(self, instance: RentalInstance) -> None:
        assume(solve(instance, OPTIONS).status is SolveStatus.INFEASIBLE)
        reasons = list_infeasible_reasons(instance, OPTIONS, watch=make_watch())
        kinds = {reason.kind for reason in reasons}
        has_limited_copies = any(item.max_copies is not None for item in instance.configurations)
        assert kinds or has_limited_copies
        if "class" in kinds:
            unlimited = dict.fromkeys(POOLS, 10**6)
            assert math.isinf(get_value(replace(instance, availability=unlimited).with_budget(1e9)))
        if "budget" in kinds:
            smallest = find_smallest_budget(instance, OPTIONS, watch=make_watch())
            assert smallest is not None
            assert math.isfinite(get_value(instance.with_budget(smallest * (1 + 1e-9))))
            assert math.isinf(get_value(instance.with_budget(smallest - 0.05)))
        if "stock" in kinds:
            missing = find_missing_stock(instance, OPTIONS, watch=make_watch())
            assert missing is not None
            lent = {pool: count + missing.units.get(pool, 0) for pool, count in instance.availability.items()}
            assert math.isfinite(
                get_value(replace(instance, availability=lent).with_budget(missing.usd_per_hour + 1e-6))
            )
        if "demand_share" in kinds:
            share = find_largest_share(instance, OPTIONS, watch=make_watch())
            assert share is not None
            for factor, is_feasible in ((1 - 1e-5, share > 0.0), (1 + 1e-5, False)):
                part = tuple(replace(item, demand=item.demand * share * factor) for item in instance.classes)
                smaller = replace(instance, classes=part)
                if share > 0.0:
                    assert math.isfinite(get_value(smaller)) is is_feasible
