"""Approving in the admin: plans that wait for a decision, policies, and the decisions taken."""

from collections.abc import Callable

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from engine.errors import EngineError, InvalidInputError
from webapp.approvals import services
from webapp.approvals.models import AwaitingPlanRequest, Decision, Policy
from webapp.core.admin import RoleAdmin
from webapp.core.models import User
from webapp.core.numbers import find_number
from webapp.core.permissions import APPROVALS_DECIDE, APPROVALS_VIEW, CORE_ADMIN, has_permission
from webapp.planning.models import PlanState

Decide = Callable[..., Decision]


class DecisionActionForm(ActionForm):  # type: ignore[misc]  # unfold ships no types
    """The action with a comment, which becomes part of the decision."""

    comment = forms.CharField(
        label="",
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextInputWidget({"placeholder": "Comment", "aria-label": "Comment"}),
    )


@admin.register(AwaitingPlanRequest)
class AwaitingPlanRequestAdmin(RoleAdmin):
    """Plans that wait for a decision; approve or reject the selected ones."""

    view_permission = APPROVALS_VIEW
    action_form = DecisionActionForm
    actions = ("approve_selected", "reject_selected")
    list_display = ("__str__", "author", "model", "objective", "plan_usd_per_hour", "budget_usd_per_hour", "updated_at")
    list_select_related = ("author", "model", "workload", "plan")
    ordering = ("-updated_at", "-pk")
    exclude = ("solve_token", "progress")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AwaitingPlanRequest]:
        """Return only what waits for a decision."""
        rows: QuerySet[AwaitingPlanRequest] = super().get_queryset(request)
        return rows.filter(state=PlanState.AWAITING_APPROVAL).defer("plan__body", "plan__instance", "plan__offers")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether the actions are offered."""
        return has_permission(request.user, APPROVALS_DECIDE)

    @admin.display(description="plan USD per hour")
    def plan_usd_per_hour(self, row: AwaitingPlanRequest) -> str:
        """Return the cost of the plan, with a hidden field that says which plan the page showed."""
        return format_html(
            '{}<input type="hidden" name="{}" value="{}">',
            f"{row.plan.usd_per_hour:.2f}",
            _define_plan_field(row.pk),
            row.plan.pk,
        )

    @admin.action(description="Approve selected plans", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, rows: QuerySet[AwaitingPlanRequest]) -> None:
        """Approve each plan; one that is refused does not keep the others back."""
        self._decide_each(request, rows, services.approve, "approved")

    @admin.action(description="Reject selected plans", permissions=["decide"])
    def reject_selected(self, request: HttpRequest, rows: QuerySet[AwaitingPlanRequest]) -> None:
        """Reject each plan; one that is refused does not keep the others back."""
        self._decide_each(request, rows, services.reject, "rejected")

    def _decide_each(
        self, request: HttpRequest, rows: QuerySet[AwaitingPlanRequest], decide: Decide, word: str
    ) -> None:
        comment = request.POST.get("comment", "").strip()
        for row in rows:
            try:
                plan_id = _get_seen_plan_id(request, row.pk)
                decide(actor=request.user, plan_request_id=row.pk, comment=comment, plan_id=plan_id, now=timezone.now())
            except EngineError as error:
                self.message_user(request, error.message, messages.ERROR)
            else:
                self.message_user(request, f"{row} is {word}.", messages.SUCCESS)


@admin.register(Policy)
class PolicyAdmin(RoleAdmin):
    """Limits on plans; admins change them."""

    view_permission = APPROVALS_VIEW
    write_permission = CORE_ADMIN
    list_display = ("name", "is_enabled", "max_usd_per_hour", "self_approve_below_usd_per_hour")
    ordering = ("pk",)

    def save_model(self, request: HttpRequest, obj: Policy, form: object, change: bool) -> None:
        """Store through the service, so that the audit log knows."""
        services.save_policy(actor=_get_actor(request), policy=obj, now=timezone.now())

    def delete_model(self, request: HttpRequest, obj: Policy) -> None:
        """Delete through the service, so that the audit log knows."""
        services.delete_policy(actor=_get_actor(request), policy=obj, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Policy]) -> None:
        """Delete one by one through the service."""
        for policy in queryset:
            self.delete_model(request, policy)


@admin.register(Decision)
class DecisionAdmin(RoleAdmin):
    """Decisions taken; read-only."""

    view_permission = APPROVALS_VIEW
    list_display = ("decided_at", "plan", "verdict", "decided_by", "policy", "comment")
    list_filter = ("verdict",)
    list_select_related = ("plan", "decided_by", "policy")
    ordering = ("-decided_at", "-pk")


def _define_plan_field(plan_request_id: int) -> str:
    return f"plan-of-{plan_request_id}"


def _get_seen_plan_id(request: HttpRequest, plan_request_id: int) -> int:
    """Return the plan that the page showed beside the chosen row: only that one is decided.

    Raises:
        InvalidInputError: the row was not on the page, so nobody saw its plan.
    """
    field = _define_plan_field(plan_request_id)
    plan_id = find_number(request.POST.get(field, ""))
    if plan_id is None:
        raise InvalidInputError(
            f"{field}: says no plan of plan request {plan_request_id}",
            field=field,
            remedy="choose rows of the page that you see",
        )
    return plan_id


def _get_actor(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise TypeError("the admin is open to people who are signed in")
    return request.user
