"""Django registration of this app."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """Registers `webapp.dashboard`."""

    name = "webapp.dashboard"
    label = "dashboard"
    default_auto_field = "django.db.models.BigAutoField"
