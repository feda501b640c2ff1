"""The admin's view of the market: read-only, offers come from loads."""

from django.contrib import admin

from webapp.core.admin import RoleAdmin
from webapp.core.permissions import MARKET_VIEW
from webapp.market.models import MarketImport, Offer, OfferObservation


@admin.register(Offer)
class OfferAdmin(RoleAdmin):
    """Identities of offers."""

    view_permission = MARKET_VIEW
    list_display = ("offer_id", "gpu_name", "gpu_count", "market", "latest")
    list_filter = ("provider", "gpu_name", "market")
    search_fields = ("offer_id",)
    list_select_related = ("latest__offer",)
    ordering = ("offer_id",)


@admin.register(OfferObservation)
class OfferObservationAdmin(RoleAdmin):
    """Prices and stock as seen."""

    view_permission = MARKET_VIEW
    list_display = ("observed_at", "offer", "usd_per_hour", "available_count", "source")
    list_select_related = ("offer",)
    ordering = ("-observed_at", "-pk")


@admin.register(MarketImport)
class MarketImportAdmin(RoleAdmin):
    """Loads and the rows they refused."""

    view_permission = MARKET_VIEW
    list_display = ("started_at", "source", "num_loaded", "num_unchanged")
    ordering = ("-started_at", "-pk")
