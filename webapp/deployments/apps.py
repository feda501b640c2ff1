"""Django registration of this app."""

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """Registers `webapp.deployments`."""

    name = "webapp.deployments"
    label = "deployments"
    default_auto_field = "django.db.models.BigAutoField"
