"""Django registration of this app."""

from django.apps import AppConfig


class PlanningConfig(AppConfig):
    """Registers `webapp.planning`."""

    name = "webapp.planning"
    label = "planning"
    default_auto_field = "django.db.models.BigAutoField"
