"""The reconcile loop: look, write down what was seen, take the next steps, look again.

Nothing is remembered between passes but rows, so the loop may be killed at any instruction and run again. One loop
at a time works on a deployment, by lease.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from engine.errors import RefusedError
from webapp.deployments import lease, recording, standing, states, transitions, wanting
from webapp.deployments.access import REAL_ACCESS, Access
from webapp.deployments.difference import ObservedMachine, Rent, Step, list_steps
from webapp.deployments.lease import LeaseLostError
from webapp.deployments.models import Deployment, Machine, MachineState, ShardState
from webapp.deployments.observation import Sighting, look_at_machine
from webapp.deployments.steps import StepContext, take_step

_LOG: Final = logging.getLogger(__name__)
_PAUSE_S: Final = 0.5  # between two looks while something is on its way
_MAX_PASSES: Final = 200  # of one call; a bound on what a mistake may cost
_MOVING_MACHINES: Final = frozenset({MachineState.STARTING, MachineState.LOST, MachineState.RELEASING})
_MOVING_SHARDS: Final = frozenset({ShardState.STARTING, ShardState.RESTARTING, ShardState.STOPPING})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult:
    """How a call ended.

    Attributes:
        num_steps: steps that got somewhere.
        is_moving: something is on its way: look again soon.
        is_busy: someone else reconciles the deployment now; nothing was done.
    """

    num_steps: int = 0
    is_moving: bool = False
    is_busy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What one look gave."""

    plan_request_id: int
    steps: tuple[Step, ...]
    is_moving: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One call: whose deployment, under which lease, with what."""

    deployment_id: int
    token: str
    access: Access
    clock: Callable[[], datetime]

    def renew(self) -> None:
        """Keep the lease; raises `LeaseLostError`."""
        lease.renew(self.deployment_id, self.token, now=self.clock())


def reconcile_deployment(
    *,
    deployment_id: int,
    watch_s: float = 0.0,
    access: Access = REAL_ACCESS,
    clock: Callable[[], datetime] = timezone.now,
    sleep: Callable[[float], None] = time.sleep,
) -> ReconcileResult:
    """Bring a deployment towards its plan, as far as it goes without waiting.

    Args:
        watch_s: how long to go on looking while something is on its way [s].
    Raises:
        NotFoundError: there is no such deployment.
    """
    token = lease.acquire(deployment_id, now=clock())
    if token is None:
        return ReconcileResult(is_busy=True)
    job = _Job(deployment_id=deployment_id, token=token, access=access, clock=clock)
    try:
        return _run(job, until=clock() + timedelta(seconds=watch_s), sleep=sleep)
    except LeaseLostError as error:
        _LOG.info("%s", error.message)
        return ReconcileResult(is_busy=True)
    finally:
        lease.release(deployment_id, token)


def _run(job: _Job, *, until: datetime, sleep: Callable[[float], None]) -> ReconcileResult:
    rented: set[int] = set()
    num_steps = 0
    for _ in range(_MAX_PASSES):
        job.renew()
        try:
            view = _look(job)
            num_done = _take_steps(job, view, rented)
        except RefusedError as error:
            _refuse(job, error)
            num_steps += 1
            continue
        num_steps += num_done
        if num_done == 0:
            if not view.is_moving or job.clock() >= until:
                if view.steps:
                    _look(job)  # so that the reason why they got nowhere is shown
                return ReconcileResult(num_steps=num_steps, is_moving=view.is_moving)
            sleep(_PAUSE_S)
    return ReconcileResult(num_steps=num_steps, is_moving=True)


def _take_steps(job: _Job, view: _View, rented: set[int]) -> int:
    """Take the steps; a machine that is rented and stops at once waits for the next call."""
    context = StepContext(
        deployment_id=job.deployment_id, plan_request_id=view.plan_request_id, access=job.access, clock=job.clock
    )
    num_done = 0
    for step in view.steps:
        if isinstance(step, Rent):
            if step.machine_pk in rented:
                continue
            rented.add(step.machine_pk)
        job.renew()
        num_done += take_step(step, context)
    return num_done


@transaction.atomic
def _refuse(job: _Job, error: RefusedError) -> None:
    _LOG.warning("the plan of deployment %d is refused: %s", job.deployment_id, error.message)
    deployment = transitions.lock_deployment(job.deployment_id)
    standing.refuse_plan(deployment, reason=error.message, now=job.clock())


def _look(job: _Job) -> _View:
    sightings: dict[int, Sighting] = {}
    renewed_at = job.clock()
    for machine in _list_machines(job.deployment_id):
        if job.clock() - renewed_at > lease.LEASE / 3:  # agents that hang take their time
            job.renew()
            renewed_at = job.clock()
        if machine.state != MachineState.RESERVED:
            sightings[machine.pk] = look_at_machine(machine, recording.list_shards(machine), job.access)
    return _record(job, sightings)


def _list_machines(deployment_id: int) -> list[Machine]:
    held = Machine.objects.filter(deployment=deployment_id, state__in=states.HELD)
    return list(held.select_related("deployment").order_by("pk"))


@transaction.atomic
def _record(job: _Job, sightings: Mapping[int, Sighting]) -> _View:
    now = job.clock()
    deployment = transitions.lock_deployment(job.deployment_id)
    for machine in _lock_machines(deployment):
        if machine.pk in sightings:
            recording.record_sighting(machine, sightings[machine.pk], now=now)
    machines = _list_machines(deployment.pk)
    observed = [recording.build_observed(machine, sightings.get(machine.pk), now=now) for machine in machines]
    wanted = wanting.get_wanted(deployment, machines, now=now)
    standing.record_standing(deployment, wanted, machines, observed, now=now)
    return _View(
        plan_request_id=deployment.plan_request_id,
        steps=list_steps(wanted, observed),
        is_moving=_is_moving(observed, sightings),
    )


def _lock_machines(deployment: Deployment) -> list[Machine]:
    held = Machine.objects.select_for_update(of=("self",)).filter(deployment=deployment, state__in=states.HELD)
    return list(held.select_related("deployment").order_by("pk"))


def _is_moving(observed: Sequence[ObservedMachine], sightings: Mapping[int, Sighting]) -> bool:
    if any(machine.state in _MOVING_MACHINES for machine in observed):
        return True
    return any(
        shard.state in _MOVING_SHARDS or (shard.state is ShardState.PENDING and _can_serve(sightings.get(machine.pk)))
        for machine in observed
        for shard in machine.shards
    )


def _can_serve(sighting: Sighting | None) -> bool:
    return sighting is None or sighting.status is None or sighting.status.vllm.is_available
