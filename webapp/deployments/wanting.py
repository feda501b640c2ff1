"""What shall be of a deployment now, read from its plan: nothing when it is stopped or its plan was refused."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.domain.plan import Plan
from webapp.deployments import desired, ledger, states
from webapp.deployments.desired import DesiredMachine, DesiredShard, ServedAs
from webapp.deployments.difference import Wanted
from webapp.deployments.models import Deployment, Machine
from webapp.market.mapping import usd_to_decimal
from webapp.market.models import Offer
from webapp.planning import selectors as plan_selectors
from webapp.planning.models import PlanState, ServedModel

DECIDING: Final = frozenset({PlanState.APPLYING, PlanState.LIVE})


def is_wanted(deployment: Deployment) -> bool:
    """Return whether the deployment's plan shall be made or kept true."""
    return deployment.state not in states.UNWANTED and deployment.plan_request.state in DECIDING


def get_wanted(deployment: Deployment, machines: Sequence[Machine], *, now: datetime) -> Wanted:
    """Return what shall be, with the shards of every machine that is held already.

    Raises:
        UnusablePlanError: the plan cannot be made real.
    """
    nothing = Wanted(budget_usd_per_hour=deployment.budget_usd_per_hour)
    plan = plan_selectors.find_plan(request_id=deployment.plan_request_id) if is_wanted(deployment) else None
    if plan is None:
        return nothing
    items = desired.list_desired_machines(plan, get_prices(plan))
    return Wanted(
        machines=items,
        shards=_list_shards(deployment, items, machines),
        budget_usd_per_hour=deployment.budget_usd_per_hour,
        is_spend_limit_reached=ledger.get_spending(deployment, now=now).is_limit_reached,
    )


def _list_shards(
    deployment: Deployment, items: Sequence[DesiredMachine], machines: Sequence[Machine]
) -> dict[str, tuple[DesiredShard, ...]]:
    tokens = {machine.plan_machine_id: str(machine.token) for machine in machines if machine.plan_machine_id}
    return {
        item.plan_machine_id: desired.list_desired_shards(
            item.replicas,
            served=get_served_as(deployment.plan_request.model),
            deployment_name=deployment.name,
            machine_token=tokens[item.plan_machine_id],
        )
        for item in items
        if item.plan_machine_id in tokens
    }


def get_served_as(model: ServedModel) -> ServedAs:
    """Return how a model is served: under its slug, from its folder."""
    return ServedAs(name=model.slug, weights_path=model.weights_path)


def get_prices(plan: Plan) -> dict[str, Decimal]:
    """Return offer id -> price as observed last [USD/h]; the plan's own where the market has lost the offer."""
    planned = {machine.offer_id: usd_to_decimal(machine.usd_per_hour) for machine in plan.machines}
    return planned | _read_market_prices(planned)


def _read_market_prices(offer_ids: Collection[str]) -> dict[str, Decimal]:
    rows = Offer.objects.filter(offer_id__in=offer_ids, latest__isnull=False).select_related("latest")
    return {row.offer_id: row.latest.usd_per_hour for row in rows if row.latest is not None}
