"""Django registration of this app."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Registers `webapp.approvals`."""

    name = "webapp.approvals"
    label = "approvals"
    default_auto_field = "django.db.models.BigAutoField"
