"""Policies that check priced plans, and the decisions people or policies take."""

from django.conf import settings
from django.db import models

from webapp.planning.models import PlanRequest


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


class Verdict(models.TextChoices):
    """How a plan was decided."""

    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"


class Decision(models.Model):
    """One decision on one plan request; a policy's own approval has no person."""

    request = models.OneToOneField(PlanRequest, on_delete=models.CASCADE, related_name="decision")
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    policy = models.ForeignKey(Policy, null=True, blank=True, on_delete=models.PROTECT)
    comment = models.TextField(blank=True, default="")
    decided_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.verdict} request {self.request_id}"
