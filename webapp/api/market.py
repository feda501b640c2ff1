"""REST: the current offers and the loads they came from."""

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from engine.errors import InvalidInputError
from webapp.api.auth import get_actor
from webapp.api.schemas_market import ChoicesOut, ImportIn, ImportOut, OfferOut, OfferQuery
from webapp.core.permissions import MARKET_MANAGE, MARKET_VIEW, require
from webapp.market import selectors, services
from webapp.market.models import MarketImport

router = Router(tags=["market"])


@router.get("/offers", response=list[OfferOut])
def list_offers(request: HttpRequest, query: Query[OfferQuery]) -> list[selectors.CurrentOffer]:
    """List the latest observation of every offer that passes the filters."""
    require(get_actor(request), MARKET_VIEW)
    _check_names(request)
    return selectors.list_current_offers(filters=_query_to_filter(query), now=timezone.now())


def _check_names(request: HttpRequest) -> None:
    """Refuse a misspelt filter: ignoring it would answer another question."""
    unknown = sorted(set(request.GET) - set(OfferQuery.model_fields))
    if unknown:
        remedy = f"use {', '.join(OfferQuery.model_fields)}"
        raise InvalidInputError(f"offers have no filter {unknown[0]!r}", field=unknown[0], remedy=remedy)


def _query_to_filter(query: OfferQuery) -> selectors.OfferFilter:
    return selectors.OfferFilter(
        gpu_name=query.gpu,
        provider=query.provider,
        region=query.region,
        market=query.market,
        max_usd_per_hour=query.max_usd_per_hour,
        max_usd_per_gpu_hour=query.max_usd_per_gpu_hour,
        sort=selectors.OfferSort(query.sort),
        is_descending=query.descending,
    )


@router.get("/offers/choices", response=ChoicesOut)
def get_choices(request: HttpRequest) -> selectors.FilterChoices:
    """List the values that the filters of `/offers` can take."""
    require(get_actor(request), MARKET_VIEW)
    return selectors.list_filter_choices()


@router.get("/market/imports", response=list[ImportOut])
def list_imports(request: HttpRequest) -> list[MarketImport]:
    """List the latest loads with the rows they refused, newest first."""
    require(get_actor(request), MARKET_VIEW)
    return selectors.list_imports()


@router.post("/market/imports", response={201: ImportOut})
def import_offers(request: HttpRequest, body: ImportIn) -> Status[MarketImport]:
    """Load a table of offers; bad rows are refused one by one, the rest is kept."""
    actor = get_actor(request)
    require(actor, MARKET_MANAGE)
    report = services.import_offer_table(actor=actor, name=body.source, csv_text=body.csv_text, now=timezone.now())
    return Status(201, report)
