"""Background traffic: which deployments want it, how much, and the key it uses."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from engine.domain.slo import Slo
from webapp.deployments import services as deployment_services
from webapp.deployments.models import Deployment, DeploymentState, GatewayKey, Shard
from webapp.planning import mapping as plan_mapping
from webapp.planning import selectors as plan_selectors

KEY_NAME: Final = "background traffic"
_LOAD_RATIO: Final = 0.25  # of what the plan says the deployment carries: people's own requests and pages still fit
_SERVING: Final = (DeploymentState.LIVE, DeploymentState.DEGRADED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTarget:
    """A deployment that wants background traffic.

    Attributes:
        model_name: what requests name as their model.
        requests_per_s: mean rate to send [requests/s].
        prompt_tokens, output_tokens: mean sizes of the workload it was planned for [tokens].
        max_model_len: longest prompt with its output that every shard takes [tokens].
        slo: what its requests should keep.
    """

    deployment_name: str
    model_name: str
    requests_per_s: float
    prompt_tokens: float
    output_tokens: float
    max_model_len: int
    slo: Slo


def list_targets() -> list[TrafficTarget]:
    """Return the live deployments whose background traffic is on, ordered by name."""
    rows = Deployment.objects.filter(has_background_traffic=True, state__in=_SERVING)
    related = rows.select_related("plan_request__model", "plan_request__workload")
    targets = [_find_target(row) for row in related.order_by("name")]
    return [target for target in targets if target is not None]


def _find_target(row: Deployment) -> TrafficTarget | None:
    """Return the target; None while nothing is predicted or no shard is there."""
    request = row.plan_request
    plan = plan_selectors.find_plan(request_id=request.pk)
    specs = Shard.objects.filter(deployment=row).values_list("spec", flat=True)
    longest = [int(spec["max_model_len"]) for spec in specs if "max_model_len" in spec]
    if plan is None or plan.prediction is None or plan.prediction.requests_per_s <= 0.0 or not longest:
        return None
    workload = plan_mapping.row_to_workload(
        request.workload, model_id=request.model.slug, requests_per_s=request.requests_per_s
    )
    return TrafficTarget(
        deployment_name=row.name,
        model_name=request.model.slug,
        requests_per_s=_LOAD_RATIO * plan.prediction.requests_per_s,
        prompt_tokens=sum(item.share * item.prompt_tokens for item in workload.classes),
        output_tokens=sum(item.share * item.output_tokens for item in workload.classes),
        max_model_len=min(longest),
        slo=plan_mapping.row_to_slo(request),
    )


@transaction.atomic
def renew_key(*, deployment_name: str, now: datetime) -> str:
    """Make the key of background traffic anew, revoking the earlier ones; return its plain text.

    Raises:
        NotFoundError: there is no such deployment.
    """
    earlier = GatewayKey.objects.filter(deployment__name=deployment_name, name=KEY_NAME, revoked_at=None)
    for key in earlier.order_by("pk"):
        deployment_services.revoke_gateway_key(actor=None, key_id=key.pk, now=now)
    _, plaintext = deployment_services.create_gateway_key(
        actor=None, deployment_name=deployment_name, key_name=KEY_NAME, now=now
    )
    return plaintext
