"""Money: exact accrual, reservations within the budget, limits."""

import threading
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from webapp.deployments import ledger
from webapp.deployments.desired import DesiredMachine
from webapp.deployments.ledger import (
    BudgetExceededError,
    NotWantedError,
    PriceAboveApprovedError,
    SpendLimitReachedError,
)
from webapp.deployments.models import Deployment, DeploymentState, LedgerEntry, Machine, MachineState

SLOT = "local:this-host:cpu-slot:on_demand"


def define_wanted(number: int, usd_per_hour: str = "0.02", *, approved: str = "") -> DesiredMachine:
    return DesiredMachine(
        plan_machine_id=f"m{number}",
        offer_id=SLOT,
        usd_per_hour=Decimal(usd_per_hour),
        approved_usd_per_hour=Decimal(approved or usd_per_hour),
        replicas=(),
    )


def reserve(
    deployment: Deployment, number: int, now: datetime, usd_per_hour: str = "0.02", *, approved: str = ""
) -> Machine:
    return ledger.reserve_machine(
        deployment_id=deployment.pk,
        plan_request_id=deployment.plan_request_id,
        wanted=define_wanted(number, usd_per_hour, approved=approved),
        now=now,
    )


class TestComputeAccruedUsd:
    @pytest.mark.parametrize(
        ("usd_per_hour", "elapsed", "expected"),
        [
            ("3.60", timedelta(seconds=1), "0.001"),
            ("1.25", timedelta(hours=1), "1.25"),
            ("0.000001", timedelta(days=365), "0.00876"),
            ("7.2", timedelta(microseconds=500), "0.000001"),
            ("98.32", timedelta(0), "0"),
            ("98.32", timedelta(seconds=-5), "0"),
        ],
    )
    def test_is_exact(self, now: datetime, usd_per_hour: str, elapsed: timedelta, expected: str) -> None:
        accrued = ledger.compute_accrued_usd(usd_per_hour=Decimal(usd_per_hour), since=now, until=now + elapsed)
        assert accrued == Decimal(expected)


@pytest.mark.django_db
class TestReserveMachine:
    def test_writes_the_row_before_anything_is_rented(self, world: Any, now: datetime) -> None:
        deployment = world.start()
        machine = reserve(deployment, 1, now)
        assert (machine.state, machine.usd_per_hour, machine.provider) == ("reserved", Decimal("0.02"), "local")
        assert (machine.rent_started_at, machine.agent_url) == (None, "")
        assert "BEGIN CERTIFICATE" in machine.agent_cert_pem
        assert not LedgerEntry.objects.exists()

    def test_gives_a_place_once(self, world: Any, now: datetime) -> None:
        deployment = world.start()
        assert reserve(deployment, 1, now).pk == reserve(deployment, 1, now).pk
        assert Machine.objects.count() == 1

    def test_refuses_what_the_budget_does_not_hold(self, world: Any, now: datetime) -> None:
        deployment = world.start()
        for number in (1, 2):
            reserve(deployment, number, now)
        with pytest.raises(BudgetExceededError, match=r"m3 .* to 0.06 USD/h; the budget is 0.04 USD/h"):
            reserve(deployment, 3, now)
        assert ledger.sum_committed_usd_per_hour(deployment) == Decimal("0.04")

    def test_frees_the_money_of_machines_that_are_over(self, world: Any, now: datetime) -> None:
        deployment = world.start()
        for number, state in ((1, MachineState.RELEASED), (2, MachineState.FAILED)):
            Machine.objects.filter(pk=reserve(deployment, number, now).pk).update(state=state)
        assert reserve(deployment, 3, now, "0.04").state == "reserved"

    def test_holds_the_money_of_machines_that_are_being_released(self, world: Any, now: datetime) -> None:
        deployment = world.start()
        Machine.objects.filter(pk=reserve(deployment, 1, now, "0.04").pk).update(state=MachineState.RELEASING)
        with pytest.raises(BudgetExceededError):
            reserve(deployment, 2, now)

    def test_refuses_another_plan_and_a_stopped_deployment(self, world: Any, now: datetime) -> None:
        deployment = world.start()
        with pytest.raises(NotWantedError):
            ledger.reserve_machine(deployment_id=deployment.pk, plan_request_id=0, wanted=define_wanted(1), now=now)
        Deployment.objects.filter(pk=deployment.pk).update(state=DeploymentState.STOPPING)
        with pytest.raises(NotWantedError):
            reserve(deployment, 1, now)
        assert not Machine.objects.exists()

    @pytest.mark.parametrize(("usd_per_hour", "is_refused"), [("0.021", False), ("0.021001", True), ("2", True)])
    def test_pays_what_was_approved_within_the_tolerance(
        self, world: Any, now: datetime, usd_per_hour: str, is_refused: bool
    ) -> None:
        deployment = world.start(budget_usd_per_hour=Decimal("100"))
        if not is_refused:
            assert reserve(deployment, 1, now, usd_per_hour, approved="0.02").usd_per_hour == Decimal(usd_per_hour)
            return
        with pytest.raises(PriceAboveApprovedError, match=r"approved are 0.02 USD/h for it and 0.04 USD/h in all"):
            reserve(deployment, 1, now, usd_per_hour, approved="0.02")
        assert not Machine.objects.exists()

    def test_pays_no_more_for_all_than_was_approved(self, world: Any, now: datetime) -> None:
        deployment = world.start(budget_usd_per_hour=Decimal("100"))
        reserve(deployment, 1, now, "0.022")  # kept from a plan that was dearer
        with pytest.raises(PriceAboveApprovedError, match=r"to 0.043 USD/h"):
            reserve(deployment, 2, now, "0.021")
        Machine.objects.update(plan_machine_id="")  # one that the plan does not want counts against the budget alone
        assert reserve(deployment, 2, now, "0.021").state == "reserved"

    def test_refuses_at_the_spend_limit(self, world: Any, now: datetime) -> None:
        deployment = world.make_live()
        Deployment.objects.filter(pk=deployment.pk).update(spend_limit_usd=Decimal("0.4"))
        with pytest.raises(SpendLimitReachedError, match="the spend limit of 0.4 USD is reached"):
            reserve(deployment, 3, now + timedelta(hours=10, seconds=10))


@pytest.mark.row_locks
@pytest.mark.django_db(transaction=True)
class TestConcurrentReservations:
    """Many who reserve at the same time..."""

    @pytest.mark.slow
    def test_never_exceed_the_budget(self, world: Any, now: datetime) -> None:
        deployment = world.start(budget_usd_per_hour=Decimal("0.05"))
        barrier, outcomes = threading.Barrier(8), []

        def ask(number: int) -> None:
            try:
                barrier.wait()
                reserve(deployment, number, now)
                outcomes.append("reserved")
            except BudgetExceededError:
                outcomes.append("refused")
            finally:
                connection.close()

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["refused"] * 6 + ["reserved"] * 2
        assert ledger.sum_committed_usd_per_hour(deployment) == Decimal("0.04")


@pytest.mark.django_db
class TestEntries:
    def test_close_at_release_and_stay_closed(self, world: Any, now: datetime) -> None:
        deployment = world.make_live()
        machine = world.list_held(deployment)[0]
        for hours in (1, 2):
            ledger.close_entry(machine, now=now + timedelta(hours=hours))
        assert machine.ledger.closed_at == now + timedelta(hours=1)

    def test_count_a_machine_that_was_rented_without_our_knowing(self, world: Any, now: datetime) -> None:
        machine = reserve(world.start(), 1, now)
        Machine.objects.filter(pk=machine.pk).update(rent_started_at=now)
        machine.refresh_from_db()
        ledger.close_entry(machine, now=now + timedelta(minutes=1))
        entry = LedgerEntry.objects.get(machine=machine)
        assert (entry.opened_at, entry.closed_at) == (now, now + timedelta(minutes=1))

    def test_are_not_made_for_what_was_never_rented(self, world: Any, now: datetime) -> None:
        ledger.close_entry(reserve(world.start(), 1, now), now=now)
        assert not LedgerEntry.objects.exists()

    def test_add_up(self, world: Any) -> None:
        deployment = world.make_live()
        opened_at = LedgerEntry.objects.latest("opened_at").opened_at
        LedgerEntry.objects.update(opened_at=opened_at)
        spending = ledger.get_spending(deployment, now=opened_at + timedelta(minutes=90))
        assert (spending.committed_usd_per_hour, spending.accrued_usd) == (Decimal("0.04"), Decimal("0.06"))
        assert (spending.limit_usd, spending.is_limit_reached, spending.is_soft_limit_reached) == (None, False, False)
