"""REST: the routing table, for gateways only."""

import hmac
import json

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.security import HttpBearer

from engine.domain.codec import value_to_json
from webapp.deployments import selectors


class GatewayAuth(HttpBearer):
    """`Authorization: Bearer <gateway token>`; people and their API tokens have no business here."""

    def authenticate(self, request: HttpRequest, token: str) -> str | None:  # noqa: ARG002  # ninja calls it so
        """Return a name for the caller when the token is the gateway's."""
        is_known = hmac.compare_digest(token.encode(), settings.MEDLEY_GATEWAY_TOKEN.encode())
        return "gateway" if is_known else None


router = Router(tags=["gateway"], auth=GatewayAuth())


@router.get("/gateway/routing-table", response={200: dict[str, object], 304: None})
def get_routing_table(request: HttpRequest) -> HttpResponse:
    """Return the routing table; 304 when the caller has this version already (`If-None-Match`)."""
    table = selectors.build_routing_table()
    etag = f'"{table.version}"'
    if etag in {part.strip() for part in request.headers.get("If-None-Match", "").split(",")}:
        return HttpResponse(status=304, headers={"ETag": etag})
    body = json.dumps(value_to_json(table))
    return HttpResponse(body, content_type="application/json", headers={"ETag": etag, "Cache-Control": "no-store"})
