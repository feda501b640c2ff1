"""Django registration of this app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """Registers `webapp.api`."""

    name = "webapp.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"
