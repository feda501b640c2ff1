"""What deployments have of the market's stock: machines that they hold, and those their plans shall still rent."""

from collections import Counter
from collections.abc import Mapping

from webapp.deployments import states, wanting
from webapp.deployments.models import Deployment, Machine
from webapp.planning import selectors as plan_selectors


def count_taken(*, deployment_name: str) -> Mapping[str, int]:
    """Return offer id -> machines that deployments other than `deployment_name` hold or shall hold.

    A plan counts from the instant at which it is handed over, although its machines are reserved later; a machine
    that is held counts until it is released, although no plan wants it any more.
    """
    held = _count_held(deployment_name)
    taken: Counter[str] = Counter()
    for deployment in Deployment.objects.exclude(name=deployment_name).select_related("plan_request"):
        taken += held.get(deployment.pk, Counter()) | _count_planned(deployment)  # the greater of both per offer
    return taken


def _count_held(deployment_name: str) -> dict[int, Counter[str]]:
    rows = Machine.objects.filter(state__in=states.HELD).exclude(deployment__name=deployment_name)
    held: dict[int, Counter[str]] = {}
    for deployment_id, offer_id in rows.values_list("deployment_id", "offer_id"):
        held.setdefault(deployment_id, Counter())[offer_id] += 1
    return held


def _count_planned(deployment: Deployment) -> Counter[str]:
    plan = plan_selectors.find_plan(request_id=deployment.plan_request_id) if wanting.is_wanted(deployment) else None
    return Counter(machine.offer_id for machine in plan.machines) if plan is not None else Counter()
