"""Django registration of this app."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """Registers `webapp.telemetry`."""

    name = "webapp.telemetry"
    label = "telemetry"
    default_auto_field = "django.db.models.BigAutoField"
