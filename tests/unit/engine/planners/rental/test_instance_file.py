"""Answers to instance files: the format and its numbers."""

import json
from dataclasses import replace
from typing import Any

import pytest

from engine.domain.plan import Objective, SolveStatus
from engine.planners.rental.instance_file import (
    EXIT_CODES,
    get_exit_code,
    instance_to_json,
    solve_instance_file,
)
from engine.planners.rental.instance_parser import parse_instance
from engine.planners.rental.options import SolveOptions
from tests.support.rental_instances import WORKED_COPIES, define_worked_example, define_worked_file, still_clock


def solve_file(data: object) -> dict[str, Any]:
    answer = solve_instance_file(data, still_clock)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    return answer


class TestSolveInstanceFile:
    def test_answers_the_worked_example_as_specified(self) -> None:
        answer = solve_file(define_worked_file())
        binding = answer.pop("binding")
        assert answer == {
            "name": "worked-example",
            "status": "optimal",
            "objective": "max_rate",
            "makespan_s": pytest.approx(28.431373, abs=1e-6),
            "rate_sets_per_s": pytest.approx(0.035172414, abs=1e-9),
            "usd_per_hour": 8.0,
            "copies": {"c1": 1, "c4": 1},
            "x": {
                "c1": pytest.approx({"w1": 0.147059, "w2": 1.0}, abs=1e-6),
                "c4": pytest.approx({"w1": 0.852941}, abs=1e-6),
            },
            "spend": {"usd_per_hour": 8.0, "by_model": {"default": 8.0}, "by_configuration": {"c1": 4.0, "c4": 4.0}},
            "best_bound": pytest.approx(0.035172414, abs=1e-9),
            "mip_gap": pytest.approx(0.0, abs=1e-6),
            "runtime_s": 0.0,
            "method": "direct",
            "reasons": [],
            "notes": [],
        }
        assert binding == [
            {
                "row": "budget",
                "slack": 0.0,
                "shadow_price": pytest.approx(0.002586207, abs=1e-9),
                "unit": "sets/s per USD/h",
                "step": pytest.approx(2.0),
                "gain": pytest.approx(0.004310345, abs=1e-9),
            },
            {
                "row": "availability:t2",
                "slack": 0,
                "shadow_price": pytest.approx(0.007241379, abs=1e-9),
                "unit": "sets/s per unit",
                "step": 1,
                "gain": pytest.approx(0.002827586, abs=1e-9),
            },
        ]

    def test_answers_the_least_cost_without_a_makespan(self) -> None:
        answer = solve_file(
            define_worked_file(
                objective="min_cost",
                budget_usd_per_hour=None,
                classes=[{"id": "w1", "demand": 2.0}, {"id": "w2", "demand": 0.5}],
            )
        )
        assert (answer["status"], answer["usd_per_hour"], answer["best_bound"]) == ("optimal", 6.0, 6.0)
        assert (answer["makespan_s"], answer["rate_sets_per_s"]) == (None, None)
        assert answer["copies"] == {"c3": 1, "c4": 1}

    def test_answers_infeasible_with_reasons(self) -> None:
        answer = solve_file(define_worked_file(budget_usd_per_hour=1.9))
        assert answer["status"] == "infeasible"
        assert answer["copies"] == answer["x"] == {}
        assert answer["spend"] is None
        assert [(reason["kind"], reason["value"]) for reason in answer["reasons"]] == [("budget", pytest.approx(2.0))]
        assert answer["reasons"][0]["text"] == "the smallest budget that suffices is 2.00 USD/h"

    def test_answers_invalid_with_the_field_and_the_remedy(self) -> None:
        answer = solve_file(define_worked_file(budget_usd_per_hour=-1))
        assert answer == {
            "name": "worked-example",
            "status": "invalid",
            "error": {
                "code": "invalid_instance",
                "message": "budget_usd_per_hour: -1 is out of range",
                "field": "budget_usd_per_hour",
                "remedy": "give a number from 0 to 1e+12",
            },
        }

    @pytest.mark.parametrize("data", [None, 3, [], {"name": 5}])
    def test_answers_invalid_without_a_name(self, data: object) -> None:
        answer = solve_file(data)
        assert (answer["name"], answer["status"]) == ("", "invalid")

    def test_answers_no_solution_without_time(self) -> None:
        answer = solve_file(define_worked_file(options={"time_limit_s": 0}))
        assert answer["status"] == "no_solution"
        assert answer["notes"] == ["no plan was found within the time limit of 0 s"]

    def test_sums_the_spend_of_every_model(self) -> None:
        data = define_worked_file(
            classes=[{"id": "w1", "demand": 80, "model": "a"}, {"id": "w2", "demand": 20, "model": "b"}]
        )
        for item, model in zip(data["configurations"], ("a", "b", "b", "a"), strict=True):
            item["model"] = model
        spend = solve_file(data)["spend"]
        assert sum(spend["by_model"].values()) == spend["usd_per_hour"] == sum(spend["by_configuration"].values())
        assert set(spend["by_model"]) == {"a", "b"}


class TestExitCode:
    @pytest.mark.parametrize(
        ("status", "code"), [("optimal", 0), ("feasible", 0), ("infeasible", 1), ("invalid", 2), ("no_solution", 3)]
    )
    def test_follows_the_status(self, status: str, code: int) -> None:
        assert get_exit_code({"status": status}) == code

    def test_is_known_for_every_status(self) -> None:
        assert set(EXIT_CODES) == set(SolveStatus)


class TestInstanceToJson:
    def test_is_read_back(self) -> None:
        copies = (
            replace(WORKED_COPIES[0], is_spot=True, zone="p:r:z", max_copies=2, model_id="m"),
            *WORKED_COPIES[1:],
        )
        instance = define_worked_example(copies=copies)
        instance = replace(instance, classes=(replace(instance.classes[0], model_id="m"), instance.classes[1]))
        options = SolveOptions(mip_gap=1e-3, time_limit_s=7.0, max_load=0.85, spot_max_share=0.25, tie_break=False)
        data = json.loads(json.dumps(instance_to_json(instance, options)))
        parsed = parse_instance(data)
        assert (parsed.instance, parsed.options) == (instance, options)

    def test_leaves_an_open_budget_out(self) -> None:
        instance = define_worked_example(objective=Objective.MIN_COST, budget=None)
        data = instance_to_json(instance, SolveOptions())
        assert "budget_usd_per_hour" not in data
        assert parse_instance(data).instance == instance
