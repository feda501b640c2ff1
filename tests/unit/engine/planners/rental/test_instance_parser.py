"""Reading instance files."""

from typing import Any

import pytest

from engine.domain.plan import Objective
from engine.planners.rental.instance import InstanceClass
from engine.planners.rental.instance_parser import InvalidInstanceError, parse_instance
from engine.planners.rental.options import SolveOptions
from tests.support.rental_instances import WORKED_COPIES, define_worked_example, define_worked_file

NAN, INF = float("nan"), float("inf")


def change_configuration(**changes: Any) -> dict[str, Any]:
    data = define_worked_file()
    data["configurations"][0] |= changes
    return data


def change_class(**changes: Any) -> dict[str, Any]:
    data = define_worked_file()
    data["classes"][0] |= changes
    return data


class TestParseInstance:
    def test_reads_the_worked_example(self) -> None:
        parsed = parse_instance(define_worked_file())
        assert parsed.instance == define_worked_example()
        assert parsed.options == SolveOptions(mip_gap=1e-6, time_limit_s=60.0)

    def test_reads_every_supported_key(self) -> None:
        data = change_configuration(model="m", zone="p:r", spot=True, interruption_class=4, max_copies=3)
        data["classes"] = [{"id": "w1", "demand": 80, "model": "m"}, {"id": "w2", "demand": 20}]
        data["options"] = {"max_load": 0.85, "spot_max_share": 0.25, "spot_mode": "cap", "threads": 2}
        parsed = parse_instance(data)
        first = parsed.instance.configurations[0]
        assert (first.model_id, first.zone, first.is_spot, first.max_copies) == ("m", "p:r", True, 3)
        assert parsed.instance.classes[0] == InstanceClass(id="w1", demand=80.0, model_id="m")
        assert parsed.options == SolveOptions(max_load=0.85, spot_max_share=0.25, threads=2)

    def test_gives_defaults_to_what_is_absent(self) -> None:
        data = define_worked_file()
        del data["options"], data["name"]
        parsed = parse_instance(data)
        assert (parsed.instance.name, parsed.options) == ("", SolveOptions())

    def test_takes_absent_throughput_as_zero(self) -> None:
        parsed = parse_instance(change_configuration(requests_per_s={}))
        assert parsed.instance.configurations[0].requests_per_s == {}

    def test_needs_no_budget_for_the_least_cost(self) -> None:
        data = define_worked_file(objective="min_cost")
        del data["budget_usd_per_hour"]
        instance = parse_instance(data).instance
        assert (instance.objective, instance.budget_usd_per_hour) == (Objective.MIN_COST, None)

    def test_takes_unbuilt_keys_that_change_nothing(self) -> None:
        data = change_configuration(startup_hours=0, drain_hours=0.0, running_copies=0)
        data["options"] |= {"replan_interval_hours": 1, "churn_limit": None, "weights": None}
        assert parse_instance(data).instance.configurations == WORKED_COPIES

    @pytest.mark.parametrize(
        ("data", "field"),
        [
            ([], "instance"),
            (None, "instance"),
            (define_worked_file(extra=1), "instance.extra"),
            (define_worked_file(objective="max_profit"), "objective"),
            (define_worked_file(objective=["max_rate"]), "objective"),
            (define_worked_file(name=7), "name"),
            (define_worked_file(budget_usd_per_hour=None), "budget_usd_per_hour"),
            (define_worked_file(budget_usd_per_hour=-1), "budget_usd_per_hour"),
            (define_worked_file(budget_usd_per_hour=NAN), "budget_usd_per_hour"),
            (define_worked_file(budget_usd_per_hour=INF), "budget_usd_per_hour"),
            (define_worked_file(budget_usd_per_hour=10**400), "budget_usd_per_hour"),
            (define_worked_file(budget_usd_per_hour="8"), "budget_usd_per_hour"),
            (define_worked_file(budget_usd_per_hour=True), "budget_usd_per_hour"),
            (define_worked_file(availability={}), "availability"),
            (define_worked_file(availability={"t1": -1, "t2": 2, "t3": 2}), "availability.t1"),
            (define_worked_file(availability={"t1": 1.5, "t2": 2, "t3": 2}), "availability.t1"),
            (define_worked_file(availability={"t1": 10**400, "t2": 2, "t3": 2}), "availability.t1"),
            (define_worked_file(classes=[]), "classes"),
            (define_worked_file(classes={"w1": 80}), "classes"),
            (define_worked_file(classes=[{"id": "w1", "demand": 0}, {"id": "w2", "demand": 0}]), "classes"),
            (define_worked_file(classes=[{"id": "w1", "demand": 1}, {"id": "w1", "demand": 1}]), "classes[1].id"),
            (change_class(demand=-1), "classes[0].demand"),
            (change_class(demand=NAN), "classes[0].demand"),
            (change_class(id=""), "classes[0].id"),
            (change_class(id=3), "classes[0].id"),
            (change_class(prompt=3), "classes[0].prompt"),
            (define_worked_file(configurations=[]), "configurations"),
            (change_configuration(id="c2"), "configurations[1].id"),
            (change_configuration(usd_per_hour=-4), "configurations[0].usd_per_hour"),
            (change_configuration(usd_per_hour=None), "configurations[0].usd_per_hour"),
            (change_configuration(gpus={"t9": 1}), "configurations[0].gpus.t9"),
            (change_configuration(gpus={"t1": 0}), "configurations[0].gpus.t1"),
            (change_configuration(gpus={}), "configurations[0].gpus"),
            (change_configuration(requests_per_s={"w9": 1}), "configurations[0].requests_per_s.w9"),
            (change_configuration(requests_per_s={"w1": -1}), "configurations[0].requests_per_s.w1"),
            (change_configuration(requests_per_s={"w1": INF}), "configurations[0].requests_per_s.w1"),
            (change_configuration(requests_per_s=[1.0]), "configurations[0].requests_per_s"),
            (change_configuration(model="unheard-of"), "configurations[0].model"),
            (change_configuration(spot=1), "configurations[0].spot"),
            (change_configuration(zone=None), "configurations[0].zone"),
            (change_configuration(interruption_class=5), "configurations[0].interruption_class"),
            (change_configuration(max_copies=-1), "configurations[0].max_copies"),
            (change_configuration(price=4), "configurations[0].price"),
            (define_worked_file(options=None), "options"),
            (define_worked_file(options={"mip_gap": 2}), "options.mip_gap"),
            (define_worked_file(options={"time_limit_s": -1}), "options.time_limit_s"),
            (define_worked_file(options={"threads": 0}), "options.threads"),
            (define_worked_file(options={"max_load": 0}), "options.max_load"),
            (define_worked_file(options={"max_load": 1.1}), "options.max_load"),
            (define_worked_file(options={"spot_max_share": 1.1}), "options.spot_max_share"),
            (define_worked_file(options={"tie_break": 1}), "options.tie_break"),
            (define_worked_file(options={"gap": 1}), "options.gap"),
        ],
    )
    def test_refuses_by_the_name_of_the_field(self, data: object, field: str) -> None:
        with pytest.raises(InvalidInstanceError) as caught:
            parse_instance(data)
        assert caught.value.field == field
        assert caught.value.remedy

    @pytest.mark.parametrize(
        ("data", "field"),
        [
            (change_configuration(startup_hours=0.1), "configurations[0].startup_hours"),
            (change_configuration(drain_hours=0.1), "configurations[0].drain_hours"),
            (change_configuration(running_copies=1), "configurations[0].running_copies"),
            (define_worked_file(options={"method": "binary"}), "options.method"),
            (define_worked_file(options={"spot_mode": "priced"}), "options.spot_mode"),
            (define_worked_file(options={"replan_interval_hours": 2}), "options.replan_interval_hours"),
            (define_worked_file(options={"churn_limit": 1}), "options.churn_limit"),
            (define_worked_file(options={"weights": {"m": 1}}), "options.weights"),
        ],
    )
    def test_refuses_what_is_not_built_yet(self, data: object, field: str) -> None:
        with pytest.raises(InvalidInstanceError, match="not supported yet") as caught:
            parse_instance(data)
        assert caught.value.field == field
