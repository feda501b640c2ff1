"""The admin's view of telemetry: read-only, samples come from the collector."""

from django.contrib import admin

from webapp.core.admin import RoleAdmin
from webapp.core.permissions import DEPLOYMENTS_VIEW
from webapp.telemetry.models import GatewayCursor


@admin.register(GatewayCursor)
class GatewayCursorAdmin(RoleAdmin):
    """How far each gateway was read."""

    view_permission = DEPLOYMENTS_VIEW
    list_display = ("gateway_url", "instance", "next_seq", "sampled_at")
    ordering = ("gateway_url",)
