"""The admin: people, API tokens and the audit log; who may do what follows the roles."""

from typing import ClassVar

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from webapp.core import audit, services
from webapp.core.models import ApiToken, AuditEntry, Event, User
from webapp.core.permissions import CORE_ADMIN, has_permission


class RoleAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Base of the console's admin pages: permissions of the roles instead of Django's per model.

    Rows are read-only unless `write_permission` is set: what services write is not edited by hand.
    """

    view_permission: ClassVar[str] = CORE_ADMIN
    write_permission: ClassVar[str | None] = None

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the page is listed."""
        return has_permission(request.user, self.view_permission)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether rows may be seen."""
        return has_permission(request.user, self.view_permission)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether a row may be made by hand."""
        return self._may_write(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether a row may be changed by hand."""
        return self._may_write(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether a row may be deleted by hand."""
        return self._may_write(request)

    def _may_write(self, request: HttpRequest) -> bool:
        return self.write_permission is not None and has_permission(request.user, self.write_permission)


@admin.register(User)
class UserAdmin(RoleAdmin, DjangoUserAdmin):  # type: ignore[type-arg]  # unfold's base makes it untyped
    """People and their roles."""

    write_permission = CORE_ADMIN
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "role", "is_active", "is_staff", "last_login")
    list_filter = ("role", "is_active")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("role", "is_active")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "role", "password1", "password2")}),)
    filter_horizontal = ()

    def save_model(self, request: HttpRequest, obj: User, form: "ModelForm[User]", change: bool) -> None:
        """Save a person; a new role brings its flags: who stops being an admin must stop being a superuser."""
        if not change or "role" in form.changed_data:
            services.set_role_flags(obj)
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: User, message: object) -> LogEntry:
        """Log a new person in the audit log as well."""
        self._record(request, obj, "user.create", message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: User, message: object) -> LogEntry:
        """Log a change, a new password too, in the audit log as well."""
        self._record(request, obj, "user.change", message)
        return super().log_change(request, obj, message)

    def _record(self, request: HttpRequest, user: User, action: str, message: object) -> None:
        audit.record(
            actor=request.user if isinstance(request.user, User) else None,
            action=action,
            object_type="user",
            object_id=user.pk,
            now=timezone.now(),
            detail={"username": user.username, "role": user.role, "is_active": user.is_active, "changes": message},
        )

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: people stay for the audit log; switch them off instead."""
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(RoleAdmin):
    """Who did what; read-only."""

    list_display = ("created_at", "actor", "action", "object_type", "object_id")
    list_filter = ("action", "object_type")
    search_fields = ("object_id", "actor__username")
    list_select_related = ("actor",)
    ordering = ("-created_at", "-pk")


@admin.register(ApiToken)
class ApiTokenAdmin(RoleAdmin):
    """Keys of programs; read-only, made and revoked through services."""

    list_display = ("name", "user", "created_at", "revoked_at")
    list_select_related = ("user",)
    exclude = ("token_hash",)
    ordering = ("-created_at", "-pk")


@admin.register(Event)
class EventAdmin(RoleAdmin):
    """The outbox; read-only."""

    list_display = ("id", "created_at", "topic", "kind")
    list_filter = ("kind",)
    ordering = ("-pk",)
