"""The pure difference between a plan and what is there."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.serving.protocol import ShardSpec
from webapp.deployments.desired import DesiredMachine, DesiredShard
from webapp.deployments.difference import (
    Declare,
    DrainMachine,
    DrainShards,
    ObservedMachine,
    ObservedShard,
    Release,
    Rent,
    Reserve,
    Wanted,
    describe_blockade,
    list_standings,
    list_steps,
)
from webapp.deployments.models import MachineState, ShardState

PRICE = Decimal("0.02")


def define_spec(shard_id: str, **changes: Any) -> ShardSpec:
    data = {
        "shard_id": shard_id,
        "model_path": "/models/demo",
        "served_model_name": "demo",
        "max_model_len": 4096,
        "max_num_seqs": 16,
        "max_num_batched_tokens": 2048,
        "kv_cache_memory_bytes": 2**28,
    }
    return ShardSpec.model_validate(data | changes)


def define_wanted_machine(number: int, usd_per_hour: Decimal = PRICE) -> DesiredMachine:
    return DesiredMachine(
        plan_machine_id=f"m{number}",
        offer_id="local:slot",
        usd_per_hour=usd_per_hour,
        approved_usd_per_hour=PRICE,
        replicas=(),
    )


def define_wanted_shard(number: int, **changes: Any) -> DesiredShard:
    return DesiredShard(replica_id=f"r{number}", spec=define_spec(f"s{number}", **changes), weights={"c": 0.5})


def define_wanted(num_machines: int, *, held: int | None = None, budget: str = "1", **changes: Any) -> Wanted:
    numbers = range(1, (num_machines if held is None else held) + 1)
    return replace(
        Wanted(
            machines=tuple(define_wanted_machine(number) for number in range(1, num_machines + 1)),
            shards={f"m{number}": (define_wanted_shard(number),) for number in numbers},
            budget_usd_per_hour=Decimal(budget),
        ),
        **changes,
    )


def define_shard(number: int, state: ShardState = ShardState.READY, **changes: Any) -> ObservedShard:
    shard = ObservedShard(shard_id=f"s{number}", state=state, spec=define_spec(f"s{number}"), weights={"c": 0.5})
    return replace(shard, **changes)


def define_machine(number: int, state: MachineState = MachineState.READY, **changes: Any) -> ObservedMachine:
    shards = () if state in {MachineState.RESERVED, MachineState.STARTING} else (define_shard(number),)
    machine = ObservedMachine(pk=number, plan_machine_id=f"m{number}", state=state, usd_per_hour=PRICE, shards=shards)
    return replace(machine, **changes)


class TestNothing:
    def test_is_to_do_when_all_is_as_wanted(self) -> None:
        assert list_steps(define_wanted(2), [define_machine(1), define_machine(2)]) == ()

    def test_is_to_do_when_nothing_is_wanted_and_there(self) -> None:
        assert list_steps(define_wanted(0), []) == ()


class TestReserving:
    def test_takes_missing_machines_in_the_plans_order(self) -> None:
        steps = list_steps(define_wanted(3, held=1), [define_machine(1)])
        assert steps == (Reserve(machine=define_wanted_machine(2)), Reserve(machine=define_wanted_machine(3)))

    def test_ends_where_the_budget_ends(self) -> None:
        wanted = define_wanted(3, held=0, budget="0.05")
        assert list_steps(wanted, []) == (
            Reserve(machine=define_wanted_machine(1)),
            Reserve(machine=define_wanted_machine(2)),
        )
        assert describe_blockade(wanted, []) == "machine m3 at 0.02 USD/h does not fit the budget of 0.05 USD/h"

    def test_counts_machines_that_are_being_released(self) -> None:
        wanted = define_wanted(1, held=0, budget="0.03")
        leaving = define_machine(
            9, MachineState.RELEASING, plan_machine_id="", shards=(define_shard(9, ShardState.STOPPING),)
        )
        assert list_steps(wanted, [leaving]) == ()

    def test_never_happens_at_the_spend_limit(self) -> None:
        assert list_steps(define_wanted(1, held=0, is_spend_limit_reached=True), []) == ()


class TestRenting:
    @pytest.mark.parametrize(
        "machine",
        [
            define_machine(1, MachineState.RESERVED),
            define_machine(1, MachineState.LOST, is_stopped=True),
        ],
    )
    def test_follows_a_reservation_and_a_loss(self, machine: ObservedMachine) -> None:
        assert list_steps(define_wanted(1), [machine])[0] == Rent(machine_pk=1)

    def test_does_not_help_a_machine_that_hangs(self) -> None:
        assert list_steps(define_wanted(1), [define_machine(1, MachineState.LOST)]) == ()

    def test_leaves_surplus_machines_alone(self) -> None:
        surplus = define_machine(2, MachineState.LOST, plan_machine_id="", is_stopped=True)
        assert Rent(machine_pk=2) not in list_steps(define_wanted(1), [define_machine(1), surplus])


class TestDeclaring:
    def test_tells_a_machine_its_shards_before_it_answers(self) -> None:
        steps = list_steps(define_wanted(1), [define_machine(1, MachineState.STARTING)])
        assert steps == (Declare(machine_pk=1, shards=(define_wanted_shard(1),)),)

    def test_does_not_wait_for_shards_that_do_not_serve(self) -> None:
        shard = define_shard(1, ShardState.STARTING, spec=define_spec("s1", max_num_seqs=8))
        steps = list_steps(define_wanted(1), [define_machine(1, shards=(shard,))])
        assert steps == (Declare(machine_pk=1, shards=(define_wanted_shard(1),)),)

    def test_renews_weights_without_a_drain(self) -> None:
        shard = define_shard(1, weights={"c": 1.0})
        steps = list_steps(define_wanted(1), [define_machine(1, shards=(shard,))])
        assert steps == (Declare(machine_pk=1, shards=(define_wanted_shard(1),)),)

    def test_drains_one_machine_at_a_time(self) -> None:
        old = [define_shard(number, spec=define_spec(f"s{number}", max_num_seqs=8)) for number in (1, 2)]
        machines = [define_machine(number, shards=(old[number - 1],)) for number in (1, 2)]
        assert list_steps(define_wanted(2), machines) == (DrainShards(machine_pk=1, shard_ids=("s1",)),)

    def test_waits_while_another_shard_is_drained_or_starts(self) -> None:
        old = define_shard(2, spec=define_spec("s2", max_num_seqs=8))
        for state in (ShardState.STOPPING, ShardState.STARTING):
            machines = [define_machine(1, shards=(define_shard(1, state),)), define_machine(2, shards=(old,))]
            steps = list_steps(define_wanted(2), machines)
            assert not [step for step in steps if isinstance(step, DrainShards)]

    def test_follows_a_drain(self) -> None:
        drained = define_shard(1, ShardState.STOPPING, spec=define_spec("s1", max_num_seqs=8), is_drained=True)
        steps = list_steps(define_wanted(1), [define_machine(1, shards=(drained,))])
        assert steps == (Declare(machine_pk=1, shards=(define_wanted_shard(1),)),)

    def test_takes_a_shard_off_a_machine_after_a_drain(self) -> None:
        machine = define_machine(1, shards=(define_shard(1), define_shard(7)))
        assert list_steps(define_wanted(1), [machine]) == (DrainShards(machine_pk=1, shard_ids=("s7",)),)


class TestDraining:
    def test_waits_until_everything_wanted_is_ready(self) -> None:
        surplus = define_machine(9, plan_machine_id="")
        starting = define_machine(1, shards=(define_shard(1, ShardState.STARTING),))
        assert list_steps(define_wanted(1), [starting, surplus]) == ()
        steps = list_steps(define_wanted(1), [define_machine(1), surplus])
        assert steps == (DrainMachine(machine_pk=9, reason="the plan does not need it"),)

    def test_makes_room_one_machine_at_a_time_when_the_budget_blocks(self) -> None:
        surplus = [define_machine(number, plan_machine_id="") for number in (8, 9)]
        wanted = define_wanted(1, held=0, budget="0.04")
        assert list_steps(wanted, surplus) == (
            DrainMachine(machine_pk=8, reason="makes room in the budget for the plan"),
        )
        leaving = replace(surplus[0], state=MachineState.RELEASING)
        assert list_steps(wanted, [leaving, surplus[1]]) == ()

    def test_takes_everything_when_nothing_is_wanted(self) -> None:
        steps = list_steps(define_wanted(0), [define_machine(1), define_machine(2, MachineState.RESERVED)])
        assert [step.machine_pk for step in steps if isinstance(step, DrainMachine)] == [1, 2]

    def test_begins_at_the_plans_end_at_the_spend_limit(self) -> None:
        wanted = define_wanted(2, is_spend_limit_reached=True)
        machines = [define_machine(1), define_machine(2)]
        assert list_steps(wanted, machines) == (DrainMachine(machine_pk=2, reason="the spend limit is reached"),)
        assert list_steps(wanted, [machines[0], replace(machines[1], state=MachineState.RELEASING)]) == ()

    def test_begins_with_surplus_machines_at_the_spend_limit(self) -> None:
        wanted = define_wanted(1, is_spend_limit_reached=True)
        surplus = define_machine(9, plan_machine_id="")
        assert list_steps(wanted, [define_machine(1), surplus])[0] == DrainMachine(
            machine_pk=9, reason="the spend limit is reached"
        )


class TestGivingUp:
    def test_drains_one_machine_at_a_time(self) -> None:
        silent = [define_machine(number, MachineState.LOST, is_given_up=True) for number in (1, 2)]
        drain = DrainMachine(machine_pk=1, reason="its node agent has not answered for too long")
        assert list_steps(define_wanted(2), silent) == (drain,)
        leaving = replace(silent[0], state=MachineState.RELEASING)
        steps = list_steps(define_wanted(2), [leaving, silent[1]])
        assert not any(isinstance(step, DrainMachine) for step in steps)


class TestReleasing:
    @pytest.mark.parametrize(
        ("state", "is_drained", "is_released"),
        [
            (ShardState.STOPPING, False, False),
            (ShardState.STOPPING, True, True),
            (ShardState.PENDING, False, True),
        ],
    )
    def test_follows_the_drain(self, state: ShardState, is_drained: bool, is_released: bool) -> None:
        shard = define_shard(1, state, is_drained=is_drained)
        machine = define_machine(1, MachineState.RELEASING, shards=(shard,))
        assert list_steps(define_wanted(0), [machine]) == ((Release(machine_pk=1),) if is_released else ())


class TestStandings:
    def test_take_a_shard_of_another_version_for_not_ready(self) -> None:
        old = define_shard(1, spec=define_spec("s1", max_num_seqs=8))
        (standing,) = list_standings(define_wanted(1), [define_machine(1, shards=(old,))])
        assert not standing.is_ready
        assert standing.reason == "is replaced by the plan's new version"

    def test_name_shards_without_a_row(self) -> None:
        (standing,) = list_standings(define_wanted(1), [define_machine(1, shards=())])
        assert (standing.name, standing.state) == ("s1", None)
