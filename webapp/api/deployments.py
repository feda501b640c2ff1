"""REST: deployments, their keys, their background traffic and the logs of their shards."""

from typing import Annotated

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from webapp.api.auth import get_actor
from webapp.api.schemas_deployments import (
    DeploymentDetailOut,
    DeploymentOut,
    KeyIn,
    LogOut,
    NewKeyOut,
    SpendLimitIn,
    SpendLimitOut,
    StateOut,
    TrafficIn,
    TrafficOut,
)
from webapp.core.permissions import CORE_ADMIN, DEPLOYMENTS_OPERATE, DEPLOYMENTS_VIEW, require
from webapp.deployments import selectors, services
from webapp.deployments.models import Deployment
from webapp.deployments.views import DeploymentSummary, DeploymentView

router = Router(tags=["deployments"])


@router.get("/deployments", response=list[DeploymentOut])
def list_deployments(request: HttpRequest) -> list[DeploymentSummary]:
    """List all deployments, also stopped ones."""
    require(get_actor(request), DEPLOYMENTS_VIEW)
    return selectors.list_deployments()


@router.get("/deployments/{name}", response=DeploymentDetailOut)
def get_deployment(request: HttpRequest, name: str) -> DeploymentView:
    """Return one deployment with machines, shards, keys and money."""
    require(get_actor(request), DEPLOYMENTS_VIEW)
    return selectors.get_deployment_view(name=name, now=timezone.now())


@router.post("/deployments/{name}/stop", response={202: StateOut})
def stop_deployment(request: HttpRequest, name: str) -> Deployment:
    """Release everything of a deployment; it is done when its state is `stopped`."""
    actor = get_actor(request)
    require(actor, DEPLOYMENTS_OPERATE)
    return services.stop_deployment(actor=actor, name=name, now=timezone.now())


@router.post("/deployments/{name}/keys", response={201: NewKeyOut})
def create_key(request: HttpRequest, name: str, body: KeyIn) -> dict[str, object]:
    """Make a key for clients of the gateway; it is shown this once."""
    actor = get_actor(request)
    require(actor, DEPLOYMENTS_OPERATE)
    key, plaintext = services.create_gateway_key(
        actor=actor, deployment_name=name, key_name=body.name, now=timezone.now()
    )
    return {"id": key.pk, "key": plaintext}


@router.delete("/deployments/{name}/keys/{key_id}", response={204: None})
def revoke_key(request: HttpRequest, name: str, key_id: int) -> HttpResponse:
    """Switch a key off for good."""
    actor = get_actor(request)
    require(actor, DEPLOYMENTS_OPERATE)
    services.revoke_gateway_key(actor=actor, key_id=key_id, deployment_name=name, now=timezone.now())
    return HttpResponse(status=204)


@router.put("/deployments/{name}/background-traffic", response=TrafficOut)
def set_background_traffic(request: HttpRequest, name: str, body: TrafficIn) -> dict[str, bool]:
    """Switch the replay of a trace on or off."""
    actor = get_actor(request)
    require(actor, DEPLOYMENTS_OPERATE)
    row = services.set_background_traffic(actor=actor, name=name, is_on=body.is_on, now=timezone.now())
    return {"is_on": row.has_background_traffic}


@router.put("/deployments/{name}/spend-limit", response=SpendLimitOut)
def set_spend_limit(request: HttpRequest, name: str, body: SpendLimitIn) -> Deployment:
    """Set what a deployment may spend in all; only admins may."""
    actor = get_actor(request)
    require(actor, CORE_ADMIN)
    return services.set_spend_limit(actor=actor, name=name, spend_limit_usd=body.spend_limit_usd, now=timezone.now())


@router.get("/deployments/{name}/shards/{shard_id}/log", response=LogOut)
def read_shard_log(
    request: HttpRequest, name: str, shard_id: str, tail: Annotated[int, Query(ge=0, le=5000)] = 200
) -> dict[str, object]:
    """Return the latest lines a shard printed."""
    require(get_actor(request), DEPLOYMENTS_VIEW)
    return {"shard_id": shard_id, "lines": selectors.read_shard_log(name=name, shard_id=shard_id, tail=tail)}
