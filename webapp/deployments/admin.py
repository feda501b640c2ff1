"""The admin's view of deployments: read-only, everything here is written by services; secrets are not shown."""

from django.contrib import admin

from webapp.core.admin import RoleAdmin
from webapp.core.permissions import DEPLOYMENTS_VIEW
from webapp.deployments.models import Deployment, GatewayKey, LedgerEntry, Machine, Shard


@admin.register(Deployment)
class DeploymentAdmin(RoleAdmin):
    """Deployments and their states."""

    view_permission = DEPLOYMENTS_VIEW
    list_display = ("name", "state", "state_reason", "budget_usd_per_hour", "spend_limit_usd", "updated_at")
    list_filter = ("state",)
    search_fields = ("name",)
    exclude = ("reconcile_token",)
    ordering = ("name",)


@admin.register(Machine)
class MachineAdmin(RoleAdmin):
    """Machines that are or were held."""

    view_permission = DEPLOYMENTS_VIEW
    list_display = ("token", "deployment", "plan_machine_id", "offer_id", "usd_per_hour", "state", "state_reason")
    list_filter = ("state", "provider")
    search_fields = ("token", "deployment__name")
    list_select_related = ("deployment",)
    exclude = ("agent_secrets_encrypted", "agent_cert_pem")
    ordering = ("-pk",)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(RoleAdmin):
    """Money of machines."""

    view_permission = DEPLOYMENTS_VIEW
    list_display = ("machine", "usd_per_hour", "opened_at", "closed_at")
    list_select_related = ("machine",)
    ordering = ("-pk",)


@admin.register(Shard)
class ShardAdmin(RoleAdmin):
    """Shards as their agents reported them last."""

    view_permission = DEPLOYMENTS_VIEW
    list_display = ("shard_id", "deployment", "state", "state_reason", "num_restarts", "updated_at")
    list_filter = ("state",)
    search_fields = ("shard_id",)
    list_select_related = ("deployment",)
    ordering = ("shard_id",)


@admin.register(GatewayKey)
class GatewayKeyAdmin(RoleAdmin):
    """Keys of clients; made and revoked through services."""

    view_permission = DEPLOYMENTS_VIEW
    list_display = ("prefix", "name", "deployment", "created_at", "revoked_at")
    list_select_related = ("deployment",)
    exclude = ("key_hash",)
    ordering = ("-pk",)
