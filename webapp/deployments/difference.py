"""The pure difference between what a plan wants and what is there: the next steps, safe to repeat.

A pass of the reconcile loop takes the steps in the order given, looks again and asks again; nothing is remembered
between passes but rows. Rules:

1. A wanted machine that is missing is reserved when the budget and the prices that were approved allow it; a
   reserved or stopped one is rented.
2. A machine that runs is told its shards. A shard that must change or go is drained first; on a deployment that
   serves, one machine changes at a time.
3. Surplus machines are drained when everything wanted is ready, or at once when the budget blocks a wanted one.
4. At the spend limit nothing is reserved or rented, and the deployment is scaled down from the plan's end, one
   machine at a time.
5. A machine that is given up is drained, one at a time; its place is then missing like any other.
6. A drained machine is released.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from engine.serving.protocol import ShardSpec
from webapp.deployments.desired import DesiredMachine, DesiredShard
from webapp.deployments.models import MachineState, ShardState
from webapp.deployments.states import ShardStanding


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedShard:
    """A shard's row, after the latest look at its agent.

    Attributes:
        is_drained: it is being stopped, and no request is left in it or it had its time.
    """

    shard_id: str
    state: ShardState
    spec: ShardSpec
    weights: Mapping[str, float]
    reason: str = ""
    is_drained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedMachine:
    """A held machine's row, after the latest look at its provider.

    Attributes:
        is_stopped: the provider has it, but nothing runs on it: renting it again starts it.
        is_given_up: it runs and is paid for, but its agent has not answered for too long.
    """

    pk: int
    plan_machine_id: str
    state: MachineState
    usd_per_hour: Decimal
    is_stopped: bool = False
    is_given_up: bool = False
    shards: tuple[ObservedShard, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall be; nothing of it once the deployment is stopped.

    Attributes:
        machines: of the plan, in its order.
        shards: plan machine id -> shards of the machine that is held for it.
    """

    machines: tuple[DesiredMachine, ...] = ()
    shards: Mapping[str, tuple[DesiredShard, ...]] = field(default_factory=dict)
    budget_usd_per_hour: Decimal
    is_spend_limit_reached: bool = False

    @property
    def highest_usd_per_hour(self) -> Decimal:
        """Cost of all machines up to which the approval covers them [USD/h]."""
        return sum((machine.highest_usd_per_hour for machine in self.machines), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Take the money for a machine, before anything is rented."""

    machine: DesiredMachine


@dataclass(frozen=True, slots=True, kw_only=True)
class Rent:
    """Rent a reserved machine, or start a stopped one again."""

    machine_pk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declare:
    """Write down the complete list of shards a machine shall run."""

    machine_pk: int
    shards: tuple[DesiredShard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainShards:
    """Take requests away from shards that will change or go."""

    machine_pk: int
    shard_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainMachine:
    """Take requests away from a machine that will be released."""

    machine_pk: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give a drained machine back and close its ledger."""

    machine_pk: int


Step = Reserve | Rent | Declare | DrainShards | DrainMachine | Release


def list_steps(wanted: Wanted, observed: Sequence[ObservedMachine]) -> tuple[Step, ...]:
    """Return the next steps towards `wanted`; empty when there is nothing to do, or only to wait."""
    held = {machine.plan_machine_id: machine for machine in observed if machine.plan_machine_id}
    steps: list[Step] = [*_list_releases(observed), *_list_drains(wanted, observed)]
    if not wanted.is_spend_limit_reached:
        steps += _list_reservations(wanted, observed)
        steps += [Rent(machine_pk=machine.pk) for machine in observed if _must_rent(wanted, machine)]
    running = [(held[name], shards) for name, shards in wanted.shards.items() if _takes_shards(held.get(name))]
    return (*steps, *_list_declarations(running))


def _list_releases(observed: Sequence[ObservedMachine]) -> list[Step]:
    return [
        Release(machine_pk=machine.pk)
        for machine in observed
        if machine.state is MachineState.RELEASING and all(_is_still(shard) for shard in machine.shards)
    ]


def _is_still(shard: ObservedShard) -> bool:
    """Return whether stopping the shard takes no request away from anybody."""
    return shard.is_drained or shard.state not in {ShardState.READY, ShardState.UNHEALTHY, ShardState.STOPPING}


def _list_drains(wanted: Wanted, observed: Sequence[ObservedMachine]) -> list[Step]:
    names = {machine.plan_machine_id for machine in wanted.machines}
    live = [machine for machine in observed if machine.state is not MachineState.RELEASING]
    surplus = [machine for machine in live if machine.plan_machine_id not in names]
    if not wanted.machines:
        return [DrainMachine(machine_pk=machine.pk, reason="nothing wants it any more") for machine in surplus]
    is_busy = len(live) < len(observed)
    if wanted.is_spend_limit_reached:
        return [] if is_busy else _scale_down(wanted, live, surplus)
    given_up = [machine for machine in live if machine.is_given_up]
    if given_up and not is_busy:
        return [DrainMachine(machine_pk=given_up[0].pk, reason="its node agent has not answered for too long")]
    if surplus and _is_complete(wanted, observed):
        return [DrainMachine(machine_pk=machine.pk, reason="the plan does not need it") for machine in surplus]
    if surplus and not is_busy and _is_blocked(wanted, observed):
        return [DrainMachine(machine_pk=surplus[0].pk, reason="makes room in the budget for the plan")]
    return []


def _scale_down(wanted: Wanted, live: Sequence[ObservedMachine], surplus: Sequence[ObservedMachine]) -> list[Step]:
    """Return the release of one machine: surplus ones first, then the plan's from its end."""
    places = {machine.plan_machine_id: index for index, machine in enumerate(wanted.machines)}
    planned = sorted(
        (machine for machine in live if machine.plan_machine_id in places),
        key=lambda machine: places[machine.plan_machine_id],
    )
    queue = [*surplus, *reversed(planned)]
    return [DrainMachine(machine_pk=queue[0].pk, reason="the spend limit is reached")] if queue else []


def _is_complete(wanted: Wanted, observed: Sequence[ObservedMachine]) -> bool:
    """Return whether every wanted shard is ready as the plan wants it."""
    ready = {
        shard.shard_id: shard.spec
        for machine in observed
        for shard in machine.shards
        if shard.state is ShardState.READY and machine.state is not MachineState.RELEASING
    }
    return all(
        machine.plan_machine_id in wanted.shards
        and all(ready.get(shard.spec.shard_id) == shard.spec for shard in wanted.shards[machine.plan_machine_id])
        for machine in wanted.machines
    )


def _sort_missing(
    wanted: Wanted, observed: Sequence[ObservedMachine]
) -> tuple[list[DesiredMachine], list[DesiredMachine]]:
    """Return the missing machines at prices that were approved, and those that have become dearer than that."""
    held = {machine.plan_machine_id: machine.usd_per_hour for machine in observed if machine.plan_machine_id}
    total, highest = sum(held.values(), Decimal(0)), wanted.highest_usd_per_hour
    approved: list[DesiredMachine] = []
    too_dear: list[DesiredMachine] = []
    for machine in wanted.machines:
        if machine.plan_machine_id in held:
            continue
        if machine.usd_per_hour > machine.highest_usd_per_hour or total + machine.usd_per_hour > highest:
            too_dear.append(machine)
        else:
            approved.append(machine)
            total += machine.usd_per_hour
    return approved, too_dear


def _list_missing(wanted: Wanted, observed: Sequence[ObservedMachine]) -> list[DesiredMachine]:
    approved, _ = _sort_missing(wanted, observed)
    return approved


def describe_price_rise(wanted: Wanted, observed: Sequence[ObservedMachine]) -> str:
    """Return in words which missing machine costs more now than was approved; empty when none does."""
    _, too_dear = _sort_missing(wanted, observed)
    if not too_dear:
        return ""
    first = too_dear[0]
    return (
        f"machine {first.plan_machine_id} ({first.offer_id}) costs {first.usd_per_hour.normalize():f} USD/h now, "
        f"above the approved {first.approved_usd_per_hour.normalize():f} USD/h or the plan's cost: "
        "solve and approve a new plan"
    )


def _list_affordable(wanted: Wanted, observed: Sequence[ObservedMachine]) -> list[DesiredMachine]:
    """Return the missing machines, in the plan's order, up to the first one that the budget does not allow."""
    left = wanted.budget_usd_per_hour - sum((machine.usd_per_hour for machine in observed), Decimal(0))
    affordable = []
    for machine in _list_missing(wanted, observed):
        left -= machine.usd_per_hour
        if left < 0:
            break
        affordable.append(machine)
    return affordable


def _is_blocked(wanted: Wanted, observed: Sequence[ObservedMachine]) -> bool:
    return len(_list_affordable(wanted, observed)) < len(_list_missing(wanted, observed))


def describe_blockade(wanted: Wanted, observed: Sequence[ObservedMachine]) -> str:
    """Return in words which wanted machine the budget does not allow now; empty when it allows all."""
    affordable, missing = _list_affordable(wanted, observed), _list_missing(wanted, observed)
    if len(affordable) == len(missing):
        return ""
    first = missing[len(affordable)]
    return (
        f"machine {first.plan_machine_id} at {first.usd_per_hour.normalize():f} USD/h does not fit "
        f"the budget of {wanted.budget_usd_per_hour.normalize():f} USD/h"
    )


def list_standings(wanted: Wanted, observed: Sequence[ObservedMachine]) -> list[ShardStanding]:
    """Return how every wanted shard stands; one that runs with another specification is not ready yet."""
    rows = {shard.shard_id: shard for machine in observed for shard in machine.shards}
    standings: list[ShardStanding] = []
    for machine in wanted.machines:
        shards = wanted.shards.get(machine.plan_machine_id)
        if shards is None:
            standings += [ShardStanding(name=replica.id, state=None) for replica in machine.replicas]
        else:
            standings += [_get_standing(shard, rows.get(shard.spec.shard_id)) for shard in shards]
    return standings


def _get_standing(wanted: DesiredShard, row: ObservedShard | None) -> ShardStanding:
    name = wanted.spec.shard_id
    if row is None:
        return ShardStanding(name=name, state=None)
    if row.spec != wanted.spec:
        return ShardStanding(name=name, state=ShardState.RESTARTING, reason="is replaced by the plan's new version")
    return ShardStanding(name=name, state=row.state, reason=row.reason)


def _list_reservations(wanted: Wanted, observed: Sequence[ObservedMachine]) -> list[Step]:
    return [Reserve(machine=machine) for machine in _list_affordable(wanted, observed)]


def _must_rent(wanted: Wanted, machine: ObservedMachine) -> bool:
    is_wanted = any(machine.plan_machine_id == item.plan_machine_id for item in wanted.machines)
    return is_wanted and (machine.state is MachineState.RESERVED or _must_start(machine))


def _must_start(machine: ObservedMachine) -> bool:
    return machine.is_stopped and machine.state is not MachineState.RELEASING


def _takes_shards(machine: ObservedMachine | None) -> bool:
    return machine is not None and machine.state not in {MachineState.RELEASING, MachineState.RESERVED}


def _list_declarations(running: Sequence[tuple[ObservedMachine, tuple[DesiredShard, ...]]]) -> list[Step]:
    """Return what to tell machines; where shards serve, one machine changes at a time."""
    steps: list[Step] = []
    may_drain = all(
        shard.state is not ShardState.STOPPING and _is_settled(shard)
        for machine, _ in running
        for shard in machine.shards
    )
    for machine, shards in running:
        if _is_declared(machine, shards):
            continue
        serving = _list_serving_changes(machine, shards)
        if not serving:
            steps.append(Declare(machine_pk=machine.pk, shards=shards))
        elif may_drain:
            steps.append(DrainShards(machine_pk=machine.pk, shard_ids=serving))
            may_drain = False
    return steps


def _is_settled(shard: ObservedShard) -> bool:
    return shard.state in {ShardState.READY, ShardState.FAILED}


def _is_declared(machine: ObservedMachine, shards: Sequence[DesiredShard]) -> bool:
    """Return whether the rows say what the plan wants."""
    rows = {shard.shard_id: (shard.spec, dict(shard.weights)) for shard in machine.shards}
    is_same = rows == {shard.spec.shard_id: (shard.spec, dict(shard.weights)) for shard in shards}
    return is_same and all(shard.state is not ShardState.STOPPING for shard in machine.shards)


def _list_serving_changes(machine: ObservedMachine, shards: Sequence[DesiredShard]) -> tuple[str, ...]:
    """Return the shards that still serve and whose process would change or go."""
    specs = {shard.spec.shard_id: shard.spec for shard in shards}
    return tuple(
        shard.shard_id for shard in machine.shards if specs.get(shard.shard_id) != shard.spec and not _is_still(shard)
    )
