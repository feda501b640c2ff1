"""Django registration of this app."""

from django.apps import AppConfig


class MarketConfig(AppConfig):
    """Registers `webapp.market`."""

    name = "webapp.market"
    label = "market"
    default_auto_field = "django.db.models.BigAutoField"
