"""Reading the market: snapshots for planners, current offers for people and programs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.db.models import Count, F, FloatField, Max, Min, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast

from engine.domain import offer as engine_offer
from webapp.market.mapping import row_to_offer
from webapp.market.models import MarketImport, Offer, OfferObservation


class OfferSort(StrEnum):
    """Order of the current offers."""

    USD_PER_GPU_HOUR = "usd_per_gpu_hour"
    USD_PER_HOUR = "usd_per_hour"
    GPU = "gpu"
    PROVIDER = "provider"
    AGE = "age"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferFilter:
    """Which current offers are wanted; an empty text or None asks for all.

    Attributes:
        max_usd_per_hour: highest price of a whole machine [USD/h].
        max_usd_per_gpu_hour: highest price of one accelerator [USD/h].
    """

    gpu_name: str = ""
    provider: str = ""
    region: str = ""
    market: str = ""
    max_usd_per_hour: Decimal | None = None
    max_usd_per_gpu_hour: Decimal | None = None
    sort: OfferSort = OfferSort.USD_PER_GPU_HOUR
    is_descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentOffer:
    """The latest observation of one offer.

    Attributes:
        usd_per_hour: price of the whole machine [USD/h].
        usd_per_gpu_hour: price of one accelerator [USD/h].
        available_count: machines that can be had; None when the provider does not say.
        age_s: time since the observation [s].
    """

    offer_id: str
    provider: str
    region: str
    zone: str
    instance_type: str
    gpu_name: str
    gpu_count: int
    market: str
    usd_per_hour: Decimal
    usd_per_gpu_hour: Decimal
    available_count: int | None
    interruption_class: int | None
    source: str
    observed_at: datetime
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChoices:
    """Values that occur in the market, for filters and forms."""

    gpu_names: tuple[str, ...]
    providers: tuple[str, ...]
    regions: tuple[str, ...]
    markets: tuple[str, ...]


def list_snapshot_offers(
    *, as_of: datetime, providers: Collection[str] = (), regions: Collection[str] = (), allows_spot: bool = True
) -> tuple[engine_offer.Offer, ...]:
    """Return every offer as its latest observation at or before `as_of` says, ordered by id.

    Args:
        as_of: instant of the snapshot, UTC.
        providers, regions: only these; empty means all.
        allows_spot: whether spot offers belong to the snapshot.
    """
    latest = OfferObservation.objects.filter(offer=OuterRef("pk"), observed_at__lte=as_of)
    rows = Offer.objects.annotate(observation_id=Subquery(latest.order_by("-observed_at", "-pk").values("pk")[:1]))
    if providers:
        rows = rows.filter(provider__in=providers)
    if regions:
        rows = rows.filter(region__in=regions)
    if not allows_spot:
        rows = rows.exclude(market=engine_offer.Market.SPOT)
    found = list(rows.filter(observation_id__isnull=False).order_by("offer_id"))
    by_id = OfferObservation.objects.in_bulk([row.observation_id for row in found])
    return tuple(_join(row, by_id[row.observation_id]) for row in found)


def _join(row: Offer, seen: OfferObservation) -> engine_offer.Offer:
    return row_to_offer(
        row,
        usd_per_hour=seen.usd_per_hour,
        available_count=seen.available_count,
        source=seen.source,
        observed_at=seen.observed_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferCount:
    """How many offers pass a filter, of how many providers, and when they were observed; None without any."""

    num_offers: int
    num_providers: int
    oldest_observed_at: datetime | None
    newest_observed_at: datetime | None


def list_current_offers(
    *, filters: OfferFilter, now: datetime, offset: int = 0, limit: int | None = None
) -> list[CurrentOffer]:
    """Return the latest observation of every offer that passes `filters`, in the order they ask for.

    Args:
        offset, limit: which part of the list; None brings all.
    """
    rows = _list_filtered(filters).select_related("latest").order_by(*_list_order(filters))
    until = None if limit is None else offset + limit
    return [_to_current(row, now) for row in rows[offset:until]]


def count_current_offers(*, filters: OfferFilter) -> OfferCount:
    """Return how many current offers pass `filters`."""
    return OfferCount(
        **_list_filtered(filters).aggregate(
            num_offers=Count("pk"),
            num_providers=Count("provider", distinct=True),
            oldest_observed_at=Min("latest__observed_at"),
            newest_observed_at=Max("latest__observed_at"),
        )
    )


def _list_filtered(filters: OfferFilter) -> QuerySet[Offer]:
    # As float: SQLite keeps a price such as 10.000000 as an integer, and divides integers without a remainder.
    usd_per_hour = Cast("latest__usd_per_hour", FloatField())
    rows = Offer.objects.filter(latest__isnull=False).annotate(usd_per_gpu_hour=usd_per_hour / F("gpu_count"))
    return _apply_filters(rows, filters)


def _apply_filters(rows: QuerySet[Offer], filters: OfferFilter) -> QuerySet[Offer]:
    asked = {
        "gpu_name": filters.gpu_name,
        "provider": filters.provider,
        "region": filters.region,
        "market": filters.market,
        "latest__usd_per_hour__lte": filters.max_usd_per_hour,
        "usd_per_gpu_hour__lte": filters.max_usd_per_gpu_hour,
    }
    return rows.filter(**{name: value for name, value in asked.items() if value not in ("", None)})


def _list_order(filters: OfferFilter) -> list[str]:
    column = {
        OfferSort.USD_PER_GPU_HOUR: "usd_per_gpu_hour",
        OfferSort.USD_PER_HOUR: "latest__usd_per_hour",
        OfferSort.GPU: "gpu_name",
        OfferSort.PROVIDER: "provider",
        OfferSort.AGE: "-latest__observed_at",
    }[filters.sort]
    if filters.is_descending:
        column = column[1:] if column.startswith("-") else f"-{column}"
    return [column, "offer_id"]


def _to_current(row: Offer, now: datetime) -> CurrentOffer:
    seen = row.latest
    if seen is None:
        raise ValueError(f"{row.offer_id} has no observation")  # the query asks for offers that have one
    return CurrentOffer(
        offer_id=row.offer_id,
        provider=row.provider,
        region=row.region,
        zone=row.zone,
        instance_type=row.instance_type,
        gpu_name=row.gpu_name,
        gpu_count=row.gpu_count,
        market=row.market,
        usd_per_hour=seen.usd_per_hour,
        usd_per_gpu_hour=seen.usd_per_hour / row.gpu_count,
        available_count=seen.available_count,
        interruption_class=row.interruption_class,
        source=seen.source,
        observed_at=seen.observed_at,
        age_s=(now - seen.observed_at).total_seconds(),
    )


def list_filter_choices() -> FilterChoices:
    """Return the accelerators, providers, regions and markets that have an offer."""

    def list_values(field: str) -> tuple[str, ...]:
        return tuple(Offer.objects.order_by(field).values_list(field, flat=True).distinct())

    return FilterChoices(
        gpu_names=list_values("gpu_name"),
        providers=list_values("provider"),
        regions=list_values("region"),
        markets=list_values("market"),
    )


def list_imports(*, limit: int = 20) -> list[MarketImport]:
    """Return the latest loads of offers, newest first."""
    return list(MarketImport.objects.order_by("-started_at", "-pk")[:limit])
