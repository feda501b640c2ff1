"""From what was seen to the deployment's own state, and to the life of its plan."""

from collections.abc import Sequence
from datetime import datetime

from webapp.deployments import difference, ledger, recording, states, transitions, wanting
from webapp.deployments.desired import define_machine_label
from webapp.deployments.difference import ObservedMachine, Wanted
from webapp.deployments.ledger import Spending
from webapp.deployments.models import Deployment, DeploymentState, Machine, MachineState
from webapp.deployments.states import ShardStanding, Standing
from webapp.planning import services as plan_services
from webapp.planning.models import PlanState


def record_standing(
    deployment: Deployment,
    wanted: Wanted,
    machines: Sequence[Machine],
    observed: Sequence[ObservedMachine],
    *,
    now: datetime,
) -> None:
    """Move a locked deployment, and its plan, to what its shards add up to."""
    if deployment.state == DeploymentState.STOPPING:
        if not observed:
            _finish_stop(deployment, now)
        return
    if not wanting.is_wanted(deployment):
        return
    spending = ledger.get_spending(deployment, now=now)
    ledger.note_soft_limit(deployment, spending, now=now)
    ledger.note_price_rise(deployment, difference.describe_price_rise(wanted, observed), now=now)
    standing = _derive_standing(deployment, wanted, machines, observed, spending)
    transitions.move_deployment(deployment, to=standing.state, reason=standing.reason, now=now)
    if standing.state is DeploymentState.LIVE and deployment.plan_request.state == PlanState.APPLYING:
        plan_services.move(plan_request_id=deployment.plan_request_id, to=PlanState.LIVE, now=now)


def _derive_standing(
    deployment: Deployment,
    wanted: Wanted,
    machines: Sequence[Machine],
    observed: Sequence[ObservedMachine],
    spending: Spending,
) -> Standing:
    standings = difference.list_standings(wanted, observed)
    if spending.is_limit_reached:
        return _describe_limit(standings, spending)
    trouble = (
        _find_trouble(machines)
        or difference.describe_price_rise(wanted, observed)
        or difference.describe_blockade(wanted, observed)
    )
    return states.derive_standing(DeploymentState(deployment.state), standings, trouble=trouble)


def _describe_limit(standings: Sequence[ShardStanding], spending: Spending) -> Standing:
    serves = any(standing.is_ready for standing in standings)
    state = DeploymentState.DEGRADED if serves else DeploymentState.FAILED
    return Standing(state=state, reason=ledger.describe_limit(spending))


def _find_trouble(machines: Sequence[Machine]) -> str:
    """Return what is wrong with the machines of the plan, in words."""
    troubled = [
        machine
        for machine in machines
        if machine.plan_machine_id
        and machine.state in {MachineState.RESERVED, MachineState.LOST}
        and machine.state_reason
    ]
    return "; ".join(
        f"machine {define_machine_label(str(machine.token))}: {machine.state_reason}" for machine in troubled
    )


def _finish_stop(deployment: Deployment, now: datetime) -> None:
    transitions.move_deployment(deployment, to=DeploymentState.STOPPED, reason=deployment.state_reason, now=now)
    end_plan(deployment, to=PlanState.STOPPED, now=now)


def end_plan(deployment: Deployment, *, to: PlanState, reason: str = "", now: datetime) -> None:
    """Move the plan of a locked deployment out of service; one that is out of service already stays as it is."""
    if deployment.plan_request.state in wanting.DECIDING:
        moved = plan_services.move(plan_request_id=deployment.plan_request_id, to=to, reason=reason, now=now)
        deployment.plan_request = moved


def refuse_plan(deployment: Deployment, *, reason: str, now: datetime) -> None:
    """End a plan that cannot be made real: it and the locked deployment fail, no reservation of it remains."""
    if deployment.state in states.UNWANTED:
        return
    transitions.move_deployment(deployment, to=DeploymentState.FAILED, reason=reason, now=now)
    was_live = deployment.plan_request.state == PlanState.LIVE
    end_plan(deployment, to=PlanState.STOPPED if was_live else PlanState.FAILED, reason=reason, now=now)
    reserved = Machine.objects.select_for_update(of=("self",)).select_related("deployment")
    for machine in reserved.filter(deployment=deployment, state=MachineState.RESERVED):
        if machine.rent_started_at is None:
            transitions.move_machine(machine, to=MachineState.FAILED, reason=reason, now=now)
        else:  # it may exist: it is released like any other
            recording.drain_machine(machine, reason=reason, now=now)
