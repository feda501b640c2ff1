"""The admin's view of planning: read-only, services write."""

from django.contrib import admin

from webapp.core.admin import RoleAdmin
from webapp.core.permissions import PLANNING_VIEW
from webapp.planning.models import Plan, PlanRequest, ServedModel, WorkloadProfile


@admin.register(ServedModel)
class ServedModelAdmin(RoleAdmin):
    """Models that can be planned."""

    view_permission = PLANNING_VIEW
    list_display = ("slug", "name", "is_preset", "created_by", "created_at")
    list_filter = ("is_preset",)
    list_select_related = ("created_by",)
    search_fields = ("slug", "name")
    ordering = ("slug",)


@admin.register(WorkloadProfile)
class WorkloadProfileAdmin(RoleAdmin):
    """Workloads."""

    view_permission = PLANNING_VIEW
    list_display = ("slug", "name", "source", "requests_per_s", "is_preset", "created_by")
    list_filter = ("is_preset",)
    list_select_related = ("created_by",)
    search_fields = ("slug", "name")
    ordering = ("slug",)


@admin.register(PlanRequest)
class PlanRequestAdmin(RoleAdmin):
    """Plan requests in every state."""

    view_permission = PLANNING_VIEW
    list_display = ("id", "deployment_name", "state", "author", "model", "objective", "budget_usd_per_hour")
    list_filter = ("state", "objective")
    list_select_related = ("author", "model")
    search_fields = ("deployment_name", "author__username")
    exclude = ("solve_token",)
    ordering = ("-created_at", "-pk")


@admin.register(Plan)
class PlanAdmin(RoleAdmin):
    """Plans as stored."""

    view_permission = PLANNING_VIEW
    list_display = ("request", "usd_per_hour", "created_at")
    list_select_related = ("request",)
    ordering = ("-created_at", "-pk")
