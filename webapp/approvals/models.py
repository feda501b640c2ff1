"""Policies that check priced plans, and the decisions people or policies take."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from webapp.planning.models import Plan, PlanRequest

_LIST_FIELDS = ("allowed_providers", "allowed_regions", "self_approve_providers")


class Policy(models.Model):
    """Limits on plans; all enabled policies are checked."""

    name = models.CharField(max_length=64, unique=True)
    is_enabled = models.BooleanField(default=True)
    max_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    allowed_providers = models.JSONField(default=list, blank=True)  # empty: all
    allowed_regions = models.JSONField(default=list, blank=True)  # empty: all
    self_approve_below_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    self_approve_providers = models.JSONField(default=list, blank=True)  # plans wholly on these may approve themselves

    class Meta:
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what could not be checked, naming the field."""
        for name in _LIST_FIELDS:
            value = getattr(self, name)
            if not (isinstance(value, list) and all(isinstance(item, str) and item for item in value)):
                raise ValidationError({name: 'Give a list of words, such as ["local", "aws"].'})
        for name in ("max_usd_per_hour", "self_approve_below_usd_per_hour"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValidationError({name: "Give USD per hour above 0, or leave it empty."})
        if (self.self_approve_below_usd_per_hour is None) != (not self.self_approve_providers):
            raise ValidationError(
                {"self_approve_providers": "A cost and the providers belong together: give both, or none."}
            )


class Verdict(models.TextChoices):
    """How a plan was decided."""

    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"


class Decision(models.Model):
    """One decision on one plan; a policy's own approval has no person.

    A plan that is solved again is another plan: its earlier decision stands in the audit log.
    """

    plan = models.OneToOneField(Plan, on_delete=models.CASCADE, related_name="decision")
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    policy = models.ForeignKey(Policy, null=True, blank=True, on_delete=models.PROTECT)
    comment = models.TextField(blank=True, default="")
    decided_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.verdict} plan {self.plan_id}"


class AwaitingPlanRequest(PlanRequest):
    """A plan request that waits for a decision, as the admin lists it."""

    class Meta:
        proxy = True
        verbose_name = "plan awaiting approval"
        verbose_name_plural = "plans awaiting approval"
