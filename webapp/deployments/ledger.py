"""Money of deployments: reservations before renting, prices fixed, seconds accrued, limits that hold.

A machine row holds its price from its reservation to its release; the sum over held machines never exceeds the
deployment's budget, because every reservation is made under the deployment's row lock. Nor does the sum over the
plan's own machines exceed what was approved for it, apart from the tolerance of a fresh plan; machines of the plan
before, which go on until the new ones are ready, count against the budget alone. What a machine costs accrues in its
ledger entry from the start of renting to the release.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Final
from uuid import uuid4

from django.db import transaction

from engine.clouds.local_files import HOST
from engine.errors import RefusedError
from engine.serving.certificates import create_agent_identity
from webapp.core import audit, events
from webapp.deployments import desired, states, transitions
from webapp.deployments.desired import DesiredMachine
from webapp.deployments.models import Deployment, LedgerEntry, Machine, MachineState
from webapp.deployments.secrets import AgentSecrets, encrypt_agent_secrets

SOFT_LIMIT_RATIO: Final = Decimal("0.8")  # of the spend limit: an event
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS_PER_HOUR: Final = Decimal(3_600_000_000)
_USD_STEP: Final = Decimal("0.000001")


class BudgetExceededError(RefusedError):
    """The machine would cost more per hour than the deployment's budget has left."""

    code = "budget_exceeded"


class PriceAboveApprovedError(RefusedError):
    """The machine costs more now than was approved; a new plan must be solved and approved."""

    code = "price_above_approved"


class SpendLimitReachedError(RefusedError):
    """The deployment has spent what it may spend in all; an admin can raise the limit."""

    code = "spend_limit_reached"


class NotWantedError(RefusedError):
    """The plan this reservation was for is no longer the deployment's."""

    code = "not_wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Money of one deployment at one instant.

    Attributes:
        committed_usd_per_hour: prices of all machines held [USD/h].
        accrued_usd: spent so far, rounded up to a millionth [USD].
        limit_usd: hard limit in all [USD]; None is no limit.
    """

    committed_usd_per_hour: Decimal
    accrued_usd: Decimal
    limit_usd: Decimal | None

    @property
    def is_limit_reached(self) -> bool:
        """Whether nothing more may be rented."""
        return self.limit_usd is not None and self.accrued_usd >= self.limit_usd

    @property
    def is_soft_limit_reached(self) -> bool:
        """Whether people should know that the limit comes near."""
        return self.limit_usd is not None and self.accrued_usd >= SOFT_LIMIT_RATIO * self.limit_usd


def compute_accrued_usd(*, usd_per_hour: Decimal, since: datetime, until: datetime) -> Decimal:
    """Return what a machine cost between two instants [USD], not rounded up yet; 0 when `until` is not after."""
    num_microseconds = max((until - since) // _MICROSECOND, 0)
    return usd_per_hour * num_microseconds / _MICROSECONDS_PER_HOUR


def get_spending(deployment: Deployment, *, now: datetime) -> Spending:
    """Return the money of a deployment as it stands."""
    entries = LedgerEntry.objects.filter(machine__deployment=deployment)
    accrued = sum(
        (
            compute_accrued_usd(
                usd_per_hour=entry.usd_per_hour,
                since=entry.opened_at,
                until=entry.closed_at or max(now, entry.opened_at),
            )
            for entry in entries
        ),
        Decimal(0),
    )
    return Spending(
        committed_usd_per_hour=sum_committed_usd_per_hour(deployment),
        accrued_usd=accrued.quantize(_USD_STEP, rounding=ROUND_UP),
        limit_usd=deployment.spend_limit_usd,
    )


def sum_committed_usd_per_hour(deployment: Deployment) -> Decimal:
    """Return the prices of all machines that are reserved or rented [USD/h]."""
    held = Machine.objects.filter(deployment=deployment, state__in=states.HELD)
    return sum(held.values_list("usd_per_hour", flat=True), Decimal(0))  # SQLite would sum floats


@transaction.atomic
def reserve_machine(*, deployment_id: int, plan_request_id: int, wanted: DesiredMachine, now: datetime) -> Machine:
    """Take the money for a machine before it is rented; a machine already held for this place is returned as it is.

    Raises:
        NotWantedError: another plan has taken over, or the deployment is being stopped.
        BudgetExceededError: committed USD/h would exceed the budget.
        PriceAboveApprovedError: the machine, or with it the plan, would cost more than was approved.
        SpendLimitReachedError: the hard limit is reached.
    """
    deployment = transitions.lock_deployment(deployment_id)
    held = Machine.objects.filter(deployment=deployment, state__in=states.HELD, plan_machine_id=wanted.plan_machine_id)
    if (existing := held.first()) is not None:
        return existing
    _check_wanted(deployment, plan_request_id)
    _check_money(deployment, wanted, now)
    _check_approved(deployment, wanted)
    return _create_reservation(deployment, wanted, now)


def _check_wanted(deployment: Deployment, plan_request_id: int) -> None:
    if deployment.plan_request_id != plan_request_id or deployment.state in states.UNWANTED:
        raise NotWantedError(f"plan request {plan_request_id} no longer decides on deployment {deployment.name}")


def _check_money(deployment: Deployment, wanted: DesiredMachine, now: datetime) -> None:
    spending = get_spending(deployment, now=now)
    if spending.is_limit_reached:
        raise SpendLimitReachedError(describe_limit(spending), deployment=deployment.name)
    total = spending.committed_usd_per_hour + wanted.usd_per_hour
    if total > deployment.budget_usd_per_hour:
        raise BudgetExceededError(
            f"machine {wanted.plan_machine_id} ({wanted.offer_id}) would bring {deployment.name} "
            f"to {total.normalize():f} USD/h; the budget is {deployment.budget_usd_per_hour.normalize():f} USD/h",
            deployment=deployment.name,
            committed_usd_per_hour=str(spending.committed_usd_per_hour),
            usd_per_hour=str(wanted.usd_per_hour),
        )


def _check_approved(deployment: Deployment, wanted: DesiredMachine) -> None:
    held = Machine.objects.filter(deployment=deployment, state__in=states.HELD).exclude(plan_machine_id="")
    total = sum(held.values_list("usd_per_hour", flat=True), wanted.usd_per_hour)
    highest = desired.add_tolerance(deployment.plan_request.plan.usd_per_hour)
    if wanted.usd_per_hour > wanted.highest_usd_per_hour or total > highest:
        raise PriceAboveApprovedError(
            f"machine {wanted.plan_machine_id} ({wanted.offer_id}) at {wanted.usd_per_hour.normalize():f} USD/h would "
            f"bring the plan to {total.normalize():f} USD/h; approved are "
            f"{wanted.approved_usd_per_hour.normalize():f} USD/h for it and "
            f"{deployment.plan_request.plan.usd_per_hour.normalize():f} USD/h in all",
            deployment=deployment.name,
            usd_per_hour=str(wanted.usd_per_hour),
        )


def describe_limit(spending: Spending) -> str:
    """Return the sentence for people about a spend limit that is reached."""
    limit = f"{spending.limit_usd.normalize():f}" if spending.limit_usd is not None else "no"
    return f"the spend limit of {limit} USD is reached"


def _create_reservation(deployment: Deployment, wanted: DesiredMachine, now: datetime) -> Machine:
    identity = create_agent_identity(host=HOST, now=now)
    machine = Machine.objects.create(
        deployment=deployment,
        plan_machine_id=wanted.plan_machine_id,
        token=uuid4(),
        provider=wanted.provider,
        offer_id=wanted.offer_id,
        usd_per_hour=wanted.usd_per_hour,
        state=MachineState.RESERVED,
        agent_cert_pem=identity.cert_pem,
        agent_secrets_encrypted=encrypt_agent_secrets(AgentSecrets(token=identity.token, key_pem=identity.key_pem)),
        created_at=now,
    )
    transitions.report_machine(machine, before="", now=now)
    return machine


def open_entry(machine: Machine, *, now: datetime) -> LedgerEntry:
    """Start the accrual of a locked machine at the instant its renting began; a second call changes nothing."""
    entry, _ = LedgerEntry.objects.get_or_create(
        machine=machine,
        defaults={"usd_per_hour": machine.usd_per_hour, "opened_at": machine.rent_started_at or now},
    )
    return entry


def close_entry(machine: Machine, *, now: datetime) -> None:
    """End the accrual of a locked machine; of one that may have been rented without our knowing, it counts as well."""
    if machine.rent_started_at is None and not LedgerEntry.objects.filter(machine=machine).exists():
        return
    entry = open_entry(machine, now=now)
    if entry.closed_at is None:
        entry.closed_at = now
        entry.save(update_fields=["closed_at"])


def note_soft_limit(deployment: Deployment, spending: Spending, *, now: datetime) -> None:
    """Tell people once that a locked deployment comes near its spend limit."""
    if not spending.is_soft_limit_reached or deployment.spend_warned_at is not None:
        return
    deployment.spend_warned_at = now
    deployment.save(update_fields=["spend_warned_at"])
    payload = {"accrued_usd": str(spending.accrued_usd), "limit_usd": str(spending.limit_usd)}
    _tell(deployment, action="deployment.spend-warning", kind="spend", payload=payload, now=now)


def note_price_rise(deployment: Deployment, reason: str, *, now: datetime) -> None:
    """Tell people once, until it is over, that a locked deployment lacks a machine that has become too dear.

    Args:
        reason: sentence for people; empty when no price stands in the way.
    """
    if bool(reason) == (deployment.price_refused_at is not None):
        return
    deployment.price_refused_at = now if reason else None
    deployment.save(update_fields=["price_refused_at"])
    if reason:
        payload = {"plan_request_id": deployment.plan_request_id, "reason": reason}
        _tell(deployment, action="deployment.price-refused", kind="price", payload=payload, now=now)


def _tell(deployment: Deployment, *, action: str, kind: str, payload: Mapping[str, object], now: datetime) -> None:
    audit.record(
        actor=None,
        action=action,
        object_type=transitions.OBJECT_TYPE,
        object_id=deployment.name,
        now=now,
        detail=payload,
    )
    events.emit(topic=transitions.define_topic(deployment.name), kind=kind, payload=payload, now=now)
