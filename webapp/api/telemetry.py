"""REST: what a deployment measured."""

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from webapp.api.auth import get_actor
from webapp.api.schemas_telemetry import TelemetryOut, TelemetryQuery
from webapp.core.permissions import DEPLOYMENTS_VIEW, require
from webapp.telemetry import selectors

router = Router(tags=["telemetry"])


@router.get("/deployments/{name}/telemetry", response=TelemetryOut)
def get_telemetry(request: HttpRequest, name: str, query: Query[TelemetryQuery]) -> dict[str, object]:
    """Give rates, counts, latencies and the shards' load of the last `window_s` seconds."""
    require(get_actor(request), DEPLOYMENTS_VIEW)
    return selectors.build_series(deployment_name=name, window_s=query.window_s, now=timezone.now())
