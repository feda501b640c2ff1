"""Taking one step: each may be repeated, and may be killed in between; what was done is found again by the next look.

Calls to providers stand between two short transactions. The first one writes down that it may cost money from now
on, the second one what came of it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from engine.clouds.port import AgentBootstrap, RentedMachine, RentOrder
from engine.errors import RefusedError
from webapp.deployments import ledger, recording, states, transitions
from webapp.deployments.access import Access
from webapp.deployments.desired import DesiredShard
from webapp.deployments.difference import Declare, DrainMachine, DrainShards, Release, Rent, Reserve, Step
from webapp.deployments.isolation import describe_failure
from webapp.deployments.ledger import (
    BudgetExceededError,
    NotWantedError,
    PriceAboveApprovedError,
    SpendLimitReachedError,
)
from webapp.deployments.models import Machine, MachineState, Shard, ShardState
from webapp.deployments.secrets import decrypt_agent_secrets

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """For whom steps are taken, and with what."""

    deployment_id: int
    plan_request_id: int
    access: Access
    clock: Callable[[], datetime]


def take_step(step: Step, context: StepContext) -> bool:
    """Take one step; return whether it got anywhere, so that it makes sense to look again at once.

    Raises:
        RefusedError: the provider will not rent to us, or a stored secret cannot be read.
    """
    match step:
        case Reserve():
            return _reserve(step, context)
        case Rent():
            return _rent(step, context)
        case Declare():
            return _declare(step, context)
        case DrainShards():
            return _drain_shards(step, context)
        case DrainMachine():
            return _drain_machine(step, context)
        case Release():
            return release_machine(step.machine_pk, access=context.access, clock=context.clock)


def _lock_machine(pk: int) -> Machine:
    return Machine.objects.select_for_update(of=("self",)).select_related("deployment").get(pk=pk)


def _reserve(step: Reserve, context: StepContext) -> bool:
    try:
        ledger.reserve_machine(
            deployment_id=context.deployment_id,
            plan_request_id=context.plan_request_id,
            wanted=step.machine,
            now=context.clock(),
        )
    except (BudgetExceededError, PriceAboveApprovedError, SpendLimitReachedError, NotWantedError) as error:
        _LOG.warning("reservation refused: %s", error.message)
        return False
    return True


def _rent(step: Rent, context: StepContext) -> bool:
    provider = context.access.find_provider(Machine.objects.get(pk=step.machine_pk).provider)
    machine, is_first = _begin_rent(step.machine_pk, context.clock())
    if machine is None:
        return False
    try:
        rented = provider.rent(_build_order(machine))
    except RefusedError as error:
        _note_failed_rent(step.machine_pk, reason=error.message, is_untouched=is_first, now=context.clock())
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, it is this machine's alone; the next pass tries again
        reason = describe_failure(error, what="renting")
        _note_failed_rent(step.machine_pk, reason=reason, is_untouched=False, now=context.clock())
        return False
    _finish_rent(step.machine_pk, rented, context.clock())
    return True


@transaction.atomic
def _begin_rent(pk: int, now: datetime) -> tuple[Machine | None, bool]:
    """Write down that the machine may cost money from now on; None when it shall not be rented any more.

    The second value is whether nobody has called the provider for it before.
    """
    machine = _lock_machine(pk)
    if machine.state in {MachineState.RELEASING, *states.OVER}:
        return None, False
    is_first = machine.rent_started_at is None
    if is_first:
        machine.rent_started_at = now
        machine.save(update_fields=["rent_started_at"])
    return machine, is_first


def _build_order(machine: Machine) -> RentOrder:
    secrets = decrypt_agent_secrets(machine.agent_secrets_encrypted)
    return RentOrder(
        machine_token=str(machine.token),
        deployment_name=machine.deployment.name,
        offer_id=machine.offer_id,
        agent=AgentBootstrap(token=secrets.token, cert_pem=machine.agent_cert_pem, key_pem=secrets.key_pem),
    )


@transaction.atomic
def _note_failed_rent(pk: int, *, reason: str, is_untouched: bool, now: datetime) -> None:
    """Write down why nothing was rented; unless it is certain, the machine counts as one that may exist.

    Args:
        is_untouched: the provider refused the only call there was, so it has made nothing.
    """
    machine = _lock_machine(pk)
    if machine.state in states.OVER:
        return
    changes: dict[str, object] = {"rent_started_at": None} if is_untouched else {}
    transitions.move_machine(machine, to=MachineState(machine.state), reason=reason, now=now, changes=changes)


@transaction.atomic
def _finish_rent(pk: int, rented: RentedMachine, now: datetime) -> None:
    machine = _lock_machine(pk)
    if machine.state in {MachineState.RELEASING, *states.OVER}:
        return  # taken away meanwhile; what was rented is found as an orphan
    ledger.open_entry(machine, now=now)
    changes = {"provider_ref": rented.provider_ref, "agent_url": rented.agent_url}
    to = MachineState.STARTING if machine.state != MachineState.READY else MachineState.READY
    transitions.move_machine(machine, to=to, now=now, changes=changes)


@transaction.atomic
def _declare(step: Declare, context: StepContext) -> bool:
    machine = _lock_machine(step.machine_pk)
    if machine.state in {MachineState.RELEASING, *states.OVER}:
        return False
    wanted_ids = {shard.spec.shard_id for shard in step.shards}
    for row in recording.list_shards(machine):
        if row.shard_id not in wanted_ids:
            transitions.change_shard(row, now=context.clock(), state=ShardState.STOPPED, state_reason="")
    for shard in step.shards:
        _write_shard(machine, shard, context.clock())
    return True


def _write_shard(machine: Machine, shard: DesiredShard, now: datetime) -> None:
    """Make or renew the row; a shard whose process will be another one begins its life anew."""
    spec = shard.spec.model_dump(mode="json")
    row = Shard.objects.select_related("deployment").filter(shard_id=shard.spec.shard_id).first()
    if row is None:
        row = Shard.objects.create(
            deployment=machine.deployment,
            machine=machine,
            shard_id=shard.spec.shard_id,
            replica_id=shard.replica_id,
            state=ShardState.PENDING,
            spec=spec,
            weights=dict(shard.weights),
            updated_at=now,
        )
        transitions.report_shard(row, now=now)
        return
    is_same = row.spec == spec and row.state not in {ShardState.STOPPING, ShardState.STOPPED}
    state = ShardState(row.state) if is_same else ShardState.PENDING
    transitions.change_shard(
        row, now=now, state=state, replica_id=shard.replica_id, spec=spec, weights=dict(shard.weights)
    )


@transaction.atomic
def _drain_shards(step: DrainShards, context: StepContext) -> bool:
    machine = _lock_machine(step.machine_pk)
    for row in recording.list_shards(machine):
        if row.shard_id in step.shard_ids:
            recording.drain_shard(row, now=context.clock())
    return True


@transaction.atomic
def _drain_machine(step: DrainMachine, context: StepContext) -> bool:
    machine = _lock_machine(step.machine_pk)
    if machine.state not in {MachineState.RELEASING, *states.OVER}:
        recording.drain_machine(machine, reason=step.reason, now=context.clock())
    return True


def release_machine(pk: int, *, access: Access, clock: Callable[[], datetime]) -> bool:
    """Give a machine back and close its ledger; return False when the provider could not do it now."""
    machine = Machine.objects.get(pk=pk)
    if machine.state in states.OVER:
        return True
    return note_release(pk, failure=give_back(machine, access=access), now=clock())


def give_back(machine: Machine, *, access: Access) -> str:
    """Have the provider take a machine back; return why it could not, or nothing. Touches no database."""
    if machine.rent_started_at is None:
        return ""
    try:
        access.find_provider(machine.provider).release(str(machine.token))
    except Exception as error:  # noqa: BLE001  # whatever it is, the next pass tries again
        return describe_failure(error, what="releasing")
    return ""


def note_release(pk: int, *, failure: str, now: datetime) -> bool:
    """Write down what came of giving a machine back; return whether it is over."""
    if failure:
        _note_failed_release(pk, failure, now)
        return False
    _finish_release(pk, now)
    return True


@transaction.atomic
def _note_failed_release(pk: int, reason: str, now: datetime) -> None:
    machine = _lock_machine(pk)
    if machine.state == MachineState.RELEASING:
        transitions.move_machine(machine, to=MachineState.RELEASING, reason=reason, now=now)


@transaction.atomic
def _finish_release(pk: int, now: datetime) -> None:
    machine = _lock_machine(pk)
    if machine.state not in states.OVER:
        recording.end_machine(machine, reason=machine.state_reason, now=now)
