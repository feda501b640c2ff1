"""Machines that carry our tag and that no row wants: released and reported."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db import transaction

from engine.clouds.port import MachineDescription, MachineState
from webapp.core import audit, events
from webapp.deployments import states, transitions
from webapp.deployments.access import Access
from webapp.deployments.desired import define_machine_label
from webapp.deployments.isolation import isolated
from webapp.deployments.models import Machine

_LOG: Final = logging.getLogger(__name__)


def release_orphans(*, access: Access, clock: Callable[[], datetime]) -> list[str]:
    """Release every tagged machine without a row that holds it; return their tokens.

    A row is committed before anything is rented under its token, so what has none was forgotten by all.
    """
    return [token for name in access.provider_names for token in _release_of_provider(name, access, clock)]


def _release_of_provider(name: str, access: Access, clock: Callable[[], datetime]) -> list[str]:
    released = []
    with isolated(f"machines of {name} cannot be listed"):
        provider = access.find_provider(name)
        tagged = [one for one in provider.list_tagged() if one.state is not MachineState.GONE]
        # after the listing, or a machine reserved in between would look forgotten
        for machine in _list_unwanted(tagged):
            with isolated(f"orphan {machine.machine_token} of {name} cannot be released"):
                provider.release(machine.machine_token)
                _report(machine, provider_name=name, now=clock())
                released.append(machine.machine_token)
    return released


def _list_unwanted(tagged: list[MachineDescription]) -> list[MachineDescription]:
    tokens = [one.machine_token for one in tagged]
    held = Machine.objects.filter(token__in=tokens, state__in=states.HELD).values_list("token", flat=True)
    known = {str(token) for token in held}
    return [one for one in tagged if one.machine_token not in known]


@transaction.atomic
def _report(machine: MachineDescription, *, provider_name: str, now: datetime) -> None:
    _LOG.warning("released orphan %s of %s", machine.machine_token, provider_name)
    detail = {
        "provider": provider_name,
        "deployment": machine.deployment_name,
        "offer_id": machine.offer_id,
        "provider_ref": machine.provider_ref,
    }
    audit.record(
        actor=None,
        action="machine.release-orphan",
        object_type=transitions.MACHINE_TYPE,
        object_id=machine.machine_token,
        now=now,
        detail=detail,
    )
    payload = {"id": define_machine_label(machine.machine_token), "state": "released"}
    events.emit(topic=transitions.define_topic(machine.deployment_name), kind="machine", payload=payload, now=now)
