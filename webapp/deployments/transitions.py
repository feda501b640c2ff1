"""Moving deployments, machines and shards: the only place that changes a state; each change is an event.

Moves of deployments and machines are audit rows as well. Rows are locked by the caller's transaction.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from webapp.core import audit, events
from webapp.core.errors import ConflictError, NotFoundError
from webapp.core.models import User
from webapp.deployments import states
from webapp.deployments.desired import define_machine_label
from webapp.deployments.models import Deployment, DeploymentState, Machine, MachineState, Shard, ShardState

OBJECT_TYPE: Final = "deployment"
MACHINE_TYPE: Final = "machine"
TOPIC_ALL: Final = "deployments"


class IllegalMoveError(ConflictError):
    """The transition table has no such move; `data` has `state` and `to`."""

    code = "illegal_transition"


def define_topic(name: str) -> str:
    """Return the topic of one deployment's events."""
    return f"deployment:{name}"


def lock_deployment(deployment_id: int) -> Deployment:
    """Return the row, locked until the surrounding transaction ends.

    Raises:
        NotFoundError: there is no such deployment.
    """
    row = Deployment.objects.select_for_update().filter(pk=deployment_id).first()
    if row is None:
        raise NotFoundError(f"there is no deployment with id {deployment_id}", field="deployment_id")
    return row


def move_deployment(
    row: Deployment, *, to: DeploymentState, reason: str = "", actor: User | None = None, now: datetime
) -> None:
    """Move a locked deployment, or only renew its reason when it is in that state already.

    Raises:
        IllegalMoveError: the table does not allow the move.
    """
    state = DeploymentState(row.state)
    if state is to:
        _renew_reason(row, reason, now)
        return
    if not states.can_move_deployment(state, to):
        raise IllegalMoveError(
            f"deployment {row.name} is {state.label.lower()}, so it cannot become {to.label.lower()}",
            name=row.name,
            state=state.value,
            to=to.value,
        )
    row.state, row.state_reason, row.updated_at = to.value, reason, now
    row.save(update_fields=["state", "state_reason", "updated_at"])
    detail = {"from": state.value, "to": to.value, "reason": reason}
    audit.record(
        actor=actor, action="deployment.move", object_type=OBJECT_TYPE, object_id=row.name, now=now, detail=detail
    )
    events.emit(topic=TOPIC_ALL, kind="state", payload={"name": row.name, "state": to.value}, now=now)
    _emit_state(row, now)


def _renew_reason(row: Deployment, reason: str, now: datetime) -> None:
    if row.state_reason == reason:
        return
    row.state_reason, row.updated_at = reason, now
    row.save(update_fields=["state_reason", "updated_at"])
    _emit_state(row, now)


def _emit_state(row: Deployment, now: datetime) -> None:
    payload = {"state": row.state, "reason": row.state_reason}
    events.emit(topic=define_topic(row.name), kind="state", payload=payload, now=now)


def move_machine(
    row: Machine,
    *,
    to: MachineState,
    reason: str = "",
    now: datetime,
    changes: Mapping[str, object] | None = None,
) -> None:
    """Move a locked machine with further fields in the same UPDATE; staying only renews reason and fields.

    Raises:
        IllegalMoveError: the table does not allow the move.
    """
    state = MachineState(row.state)
    if state is not to and not states.can_move_machine(state, to):
        raise IllegalMoveError(
            f"machine {define_machine_label(str(row.token))} is {state.value}, so it cannot become {to.value}",
            state=state.value,
            to=to.value,
        )
    fields = {"state": to.value, "state_reason": reason, **(changes or {})}
    changed = [name for name, value in fields.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, fields[name])
    if changed:
        row.save(update_fields=changed)
    if state is not to:
        report_machine(row, before=state.value, now=now)


def report_machine(row: Machine, *, before: str, now: datetime) -> None:
    """Write the audit row and the event of a machine that has just changed its state."""
    detail = {"deployment": row.deployment.name, "from": before, "to": row.state, "reason": row.state_reason}
    audit.record(
        actor=None, action="machine.move", object_type=MACHINE_TYPE, object_id=row.token, now=now, detail=detail
    )
    payload = {"id": define_machine_label(str(row.token)), "state": row.state}
    events.emit(topic=define_topic(row.deployment.name), kind="machine", payload=payload, now=now)


def change_shard(row: Shard, *, now: datetime, state: ShardState, **fields: object) -> None:
    """Write what changed of a shard; an event follows when its state did. `updated_at` is when it last changed."""
    before = row.state
    wanted = {"state": state.value, **fields}
    changed = [name for name, value in wanted.items() if getattr(row, name) != value]
    if not changed:
        return
    for name in changed:
        setattr(row, name, wanted[name])
    if row.state != before:
        row.updated_at = now
        changed.append("updated_at")
    row.save(update_fields=changed)
    if row.state != before:
        report_shard(row, now=now)


def report_shard(row: Shard, *, now: datetime) -> None:
    """Write the event of a shard that is new or has just changed its state."""
    payload = {"shard_id": row.shard_id, "state": row.state}
    events.emit(topic=define_topic(row.deployment.name), kind="shard", payload=payload, now=now)
