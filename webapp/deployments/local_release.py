"""Releasing every machine of this host at once, when the console on it ends."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils import timezone

from engine.market.local import PROVIDER as LOCAL_PROVIDER
from webapp.deployments import lease, recording, states, steps, transitions, wanting
from webapp.deployments.access import REAL_ACCESS, Access
from webapp.deployments.isolation import isolated
from webapp.deployments.models import DeploymentState, Machine

_MAX_THREADS: Final = 16  # they wait for agents that end their shards


def release_local_machines(
    *, now: datetime, access: Access = REAL_ACCESS, clock: Callable[[], datetime] = timezone.now
) -> int:
    """Release every machine of this host and close its ledger; deployments stay wanted and are made again later.

    For the end of the console on this host: nothing it started may go on running. One machine that cannot be
    released does not keep the others.

    Returns:
        How many machines were released.
    """
    rows = Machine.objects.filter(provider=LOCAL_PROVIDER, state__in=states.HELD).order_by("pk")
    held = list(rows)
    tokens = {pk: lease.seize(pk, now=now) for pk in {machine.deployment_id for machine in held}}
    try:
        num_released = _release_together([machine.pk for machine in held], access, clock)
        for deployment_id in tokens:
            with isolated(f"deployment {deployment_id} was not marked for making again"):
                _mark_for_making_again(deployment_id, now)
    finally:
        for deployment_id, token in tokens.items():
            lease.release(deployment_id, token)
    return num_released


def _release_together(pks: Sequence[int], access: Access, clock: Callable[[], datetime]) -> int:
    """Release machines side by side; threads only call the provider, rows are written here."""
    drained: list[Machine] = []
    for pk in pks:
        with isolated(f"machine {pk} was not drained"):
            drained += _drain(pk, clock())
    with ThreadPoolExecutor(max_workers=_MAX_THREADS) as pool:
        failures = list(pool.map(lambda machine: steps.give_back(machine, access=access), drained))
    num_released = 0
    for machine, failure in zip(drained, failures, strict=True):
        with isolated(f"the release of machine {machine.pk} was not written down"):
            num_released += steps.note_release(machine.pk, failure=failure, now=clock())
    return num_released


@transaction.atomic
def _drain(pk: int, now: datetime) -> list[Machine]:
    """Return the row, drained, as the only item; nothing when the machine is over."""
    machine = Machine.objects.select_for_update(of=("self",)).select_related("deployment").get(pk=pk)
    if machine.state in states.OVER:
        return []
    recording.drain_machine(machine, reason="the console on this host ends", now=now)
    return [machine]


@transaction.atomic
def _mark_for_making_again(deployment_id: int, now: datetime) -> None:
    deployment = transitions.lock_deployment(deployment_id)
    if wanting.is_wanted(deployment):
        transitions.move_deployment(
            deployment, to=DeploymentState.APPLYING, reason="waits for the console on this host", now=now
        )
