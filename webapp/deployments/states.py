"""Life of deployments and machines: the one table of which state may follow which, and what they add up to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from webapp.deployments.models import DeploymentState, MachineState, ShardState

DEPLOYMENT_TRANSITIONS: Final[Mapping[DeploymentState, frozenset[DeploymentState]]] = {
    DeploymentState.APPLYING: frozenset(
        {DeploymentState.LIVE, DeploymentState.DEGRADED, DeploymentState.FAILED, DeploymentState.STOPPING}
    ),
    DeploymentState.LIVE: frozenset(
        {DeploymentState.APPLYING, DeploymentState.DEGRADED, DeploymentState.FAILED, DeploymentState.STOPPING}
    ),
    DeploymentState.DEGRADED: frozenset(
        {DeploymentState.APPLYING, DeploymentState.LIVE, DeploymentState.FAILED, DeploymentState.STOPPING}
    ),
    DeploymentState.FAILED: frozenset(
        {DeploymentState.APPLYING, DeploymentState.LIVE, DeploymentState.DEGRADED, DeploymentState.STOPPING}
    ),
    DeploymentState.STOPPING: frozenset({DeploymentState.STOPPED, DeploymentState.APPLYING}),
    DeploymentState.STOPPED: frozenset({DeploymentState.APPLYING, DeploymentState.FAILED}),
}

MACHINE_TRANSITIONS: Final[Mapping[MachineState, frozenset[MachineState]]] = {
    MachineState.RESERVED: frozenset({MachineState.STARTING, MachineState.RELEASING, MachineState.FAILED}),
    MachineState.STARTING: frozenset({MachineState.READY, MachineState.LOST, MachineState.RELEASING}),
    MachineState.READY: frozenset({MachineState.LOST, MachineState.RELEASING}),
    MachineState.LOST: frozenset({MachineState.STARTING, MachineState.READY, MachineState.RELEASING}),
    MachineState.RELEASING: frozenset({MachineState.RELEASED}),
    MachineState.RELEASED: frozenset(),
    MachineState.FAILED: frozenset(),
}

OVER: Final = frozenset({MachineState.RELEASED, MachineState.FAILED})  # holds no money and no process
HELD: Final = frozenset(MachineState) - OVER  # counts against the budget
RENTED: Final = HELD - {MachineState.RESERVED}
UNWANTED: Final = frozenset({DeploymentState.STOPPING, DeploymentState.STOPPED})


def can_move_deployment(state: DeploymentState, to: DeploymentState) -> bool:
    """Return whether `to` may follow `state`; staying is not a move."""
    return to in DEPLOYMENT_TRANSITIONS[state]


def can_move_machine(state: MachineState, to: MachineState) -> bool:
    """Return whether `to` may follow `state`; staying is not a move."""
    return to in MACHINE_TRANSITIONS[state]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStanding:
    """One wanted shard as it stands; `state` is None while it has no machine."""

    name: str
    state: ShardState | None
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests."""
        return self.state is ShardState.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A state with its reason in words."""

    state: DeploymentState
    reason: str = ""


def derive_standing(current: DeploymentState, shards: Sequence[ShardStanding], *, trouble: str = "") -> Standing:
    """Return what the wanted shards add up to.

    All ready is live; some ready is degraded, unless this is a plan on its way; all failed is failed.

    Args:
        current: state before; `applying` stays until all shards are ready or one has failed.
        trouble: what is wrong beside the shards, e.g. a machine whose agent does not answer.
    """
    waiting = [shard for shard in shards if not shard.is_ready]
    if shards and not waiting and not trouble:
        return Standing(state=DeploymentState.LIVE)
    reason = trouble or _describe(waiting)
    failed = [shard for shard in waiting if shard.state is ShardState.FAILED]
    if shards and len(failed) == len(shards):
        return Standing(state=DeploymentState.FAILED, reason=reason)
    if current is DeploymentState.APPLYING and not failed:
        return Standing(state=DeploymentState.APPLYING, reason=reason)
    return Standing(state=DeploymentState.DEGRADED, reason=reason)


def _describe(waiting: Sequence[ShardStanding]) -> str:
    """Return why the deployment is not whole: the shard that says most, and how many others wait."""
    if not waiting:
        return "the plan wants no shard"
    first = next((shard for shard in waiting if shard.reason), waiting[0])
    state = first.state.label.lower() if first.state else "has no machine yet"
    others = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
    return f"{first.name}: {first.reason or state}{others}"
