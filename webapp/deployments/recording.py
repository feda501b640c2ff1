"""Writing down what was seen: machines and shards as providers and agents report them, in one transaction."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from engine.clouds import port
from engine.serving.protocol import ShardReport
from webapp.deployments import ledger, states, transitions
from webapp.deployments.difference import ObservedMachine, ObservedShard
from webapp.deployments.models import Machine, MachineState, Shard, ShardState
from webapp.deployments.observation import Sighting, row_to_spec

_DRAIN_AT_LEAST: Final = timedelta(seconds=2)  # gateways pull their table every second
_DRAIN_AT_MOST: Final = timedelta(seconds=20)  # longest wait for requests that are still being answered
_LOST_AT_MOST: Final = timedelta(minutes=5)  # an agent restarts within seconds; a machine boots again in minutes
_GONE: Final = "its provider no longer has it"
_NOT_RUNNING: Final = "its node agent does not run"
_NOT_ANSWERING: Final = "its node agent does not answer"


def list_shards(machine: Machine) -> list[Shard]:
    """Return the shards of a machine that are not over, ordered by id."""
    rows = Shard.objects.filter(machine=machine).exclude(state=ShardState.STOPPED)
    return list(rows.select_related("deployment").order_by("shard_id"))


def record_sighting(machine: Machine, sighting: Sighting, *, now: datetime) -> None:
    """Bring the rows of a locked machine and its shards to what was seen."""
    if machine.state in {MachineState.RESERVED, MachineState.RELEASING, *states.OVER}:
        return
    if sighting.description is not None and sighting.description.state is port.MachineState.GONE:
        end_machine(machine, reason=_GONE, now=now)
        return
    _record_machine(machine, sighting, now)
    for row in list_shards(machine):
        report = sighting.reports.get(row.shard_id)
        if report is not None and row.state != ShardState.STOPPING:
            _record_shard(row, report, now)


def end_machine(machine: Machine, *, reason: str, now: datetime) -> None:
    """Write down that a locked machine is no more: ledger closed, shards stopped."""
    ledger.close_entry(machine, now=now)
    transitions.move_machine(machine, to=MachineState.RELEASING, reason=reason, now=now)
    transitions.move_machine(
        machine, to=MachineState.RELEASED, reason=reason, now=now, changes={"released_at": now, "agent_url": ""}
    )
    for row in list_shards(machine):
        transitions.change_shard(row, now=now, state=ShardState.STOPPED, state_reason="", port=None, pid=None, url="")


def drain_machine(machine: Machine, *, reason: str, now: datetime) -> None:
    """Take the requests away from a locked machine, so that it can be released soon."""
    transitions.move_machine(machine, to=MachineState.RELEASING, reason=reason, now=now)
    for row in list_shards(machine):
        drain_shard(row, now=now)


def drain_shard(row: Shard, *, now: datetime) -> None:
    """Take the requests away from a shard; one that serves none is stopped at once."""
    serves = row.state in {ShardState.READY, ShardState.UNHEALTHY, ShardState.STOPPING}
    transitions.change_shard(row, now=now, state=ShardState.STOPPING if serves else ShardState.STOPPED)


def _record_machine(machine: Machine, sighting: Sighting, now: datetime) -> None:
    state, reason = _derive_machine_state(MachineState(machine.state), sighting)
    changes: dict[str, object] = {}
    if sighting.description is not None and sighting.description.agent_url:
        changes |= {"agent_url": sighting.description.agent_url, "provider_ref": sighting.description.provider_ref}
    if state is MachineState.READY and machine.ready_at is None:
        changes["ready_at"] = now
    if (state is MachineState.LOST) != (machine.lost_at is not None):
        changes["lost_at"] = now if state is MachineState.LOST else None
    transitions.move_machine(machine, to=state, reason=reason, now=now, changes=changes)


def _derive_machine_state(state: MachineState, sighting: Sighting) -> tuple[MachineState, str]:
    """Return the state with its reason; a machine whose provider is silent stays what it is."""
    if sighting.description is None:
        return state, sighting.trouble
    if sighting.status is not None:
        return MachineState.READY, ""
    if sighting.description.state is port.MachineState.STOPPED:
        return MachineState.LOST, _NOT_RUNNING
    if state is MachineState.STARTING:
        return state, sighting.trouble
    return MachineState.LOST, sighting.trouble or _NOT_ANSWERING


def _record_shard(row: Shard, report: ShardReport, now: datetime) -> None:
    transitions.change_shard(
        row,
        now=now,
        state=ShardState(report.state.value),
        state_reason=report.reason,
        url=report.url,
        port=report.port,
        pid=report.pid,
        num_restarts=report.num_restarts,
    )


def build_observed(machine: Machine, sighting: Sighting | None, *, now: datetime) -> ObservedMachine:
    """Return a held machine for the difference; `sighting` is None while it was never rented."""
    requests: Mapping[str, int] = sighting.num_requests if sighting else {}
    description = sighting.description if sighting else None
    return ObservedMachine(
        pk=machine.pk,
        plan_machine_id=machine.plan_machine_id,
        state=MachineState(machine.state),
        usd_per_hour=machine.usd_per_hour,
        is_stopped=description is not None and description.state is port.MachineState.STOPPED,
        is_given_up=_is_given_up(machine, description, now),
        shards=tuple(_build_shard(row, requests, now) for row in list_shards(machine)),
    )


def _is_given_up(machine: Machine, description: port.MachineDescription | None, now: datetime) -> bool:
    """Return whether the provider runs a machine, and is paid for it, whose agent has been silent for too long."""
    if machine.lost_at is None or description is None or description.state is port.MachineState.STOPPED:
        return False
    return machine.state == MachineState.LOST and now - machine.lost_at >= _LOST_AT_MOST


def _build_shard(row: Shard, num_requests: Mapping[str, int], now: datetime) -> ObservedShard:
    return ObservedShard(
        shard_id=row.shard_id,
        state=ShardState(row.state),
        spec=row_to_spec(row),
        weights=row.weights,
        reason=row.state_reason,
        is_drained=row.state == ShardState.STOPPING
        and _is_drained(now - row.updated_at, num_requests.get(row.shard_id)),
    )


def _is_drained(stopping_for: timedelta, num_requests: int | None) -> bool:
    """Return whether no request can be hurt any more, or the time for it is over; None: nobody could be asked."""
    return stopping_for >= _DRAIN_AT_MOST or (stopping_for >= _DRAIN_AT_LEAST and num_requests == 0)
