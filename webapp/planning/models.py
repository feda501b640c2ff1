"""Models that can be served, workloads, plan requests with their life, and the plans that answer them."""

from django.conf import settings
from django.db import models


class ServedModel(models.Model):
    """A model spec: a preset or an uploaded `config.json`."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=128)
    config = models.JSONField()
    is_preset = models.BooleanField(default=False)
    weights_path = models.CharField(max_length=300, blank=True, default="")  # folder on this host; empty: cloud only
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class WorkloadProfile(models.Model):
    """Request classes with shares and a rate: a preset, or clustered from an uploaded trace."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=128)
    source = models.CharField(max_length=200)
    arrival = models.CharField(max_length=16)
    requests_per_s = models.FloatField()
    classes = models.JSONField()  # [{"id", "prompt_tokens", "output_tokens", "share"}]
    num_requests = models.PositiveIntegerField(default=0)  # requests in the trace; 0 for presets
    is_preset = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class PlanState(models.TextChoices):
    """Life of a plan request; transitions stand in `webapp.planning.states`."""

    DRAFT = "draft", "Draft"
    SOLVING = "solving", "Solving"
    PRICED = "priced", "Priced"
    POLICY_CHECKED = "policy_checked", "Policy checked"
    AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
    APPROVED = "approved", "Approved"
    APPLYING = "applying", "Applying"
    LIVE = "live", "Live"
    SUPERSEDED = "superseded", "Superseded"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"
    REJECTED = "rejected", "Rejected"
    STALE = "stale", "Stale"
    INFEASIBLE = "infeasible", "Infeasible"


class PlanRequest(models.Model):
    """What somebody asks the planner for, and where that stands."""

    deployment_name = models.SlugField(max_length=48)  # the deployment the plan is for, new or running
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="plan_requests")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    state = models.CharField(max_length=24, choices=PlanState.choices, default=PlanState.DRAFT, db_index=True)
    state_reason = models.TextField(blank=True, default="")
    objective = models.CharField(max_length=16)
    budget_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=4)
    model = models.ForeignKey(ServedModel, on_delete=models.PROTECT)
    workload = models.ForeignKey(WorkloadProfile, on_delete=models.PROTECT)
    requests_per_s = models.FloatField(null=True, blank=True)  # overrides the workload's rate
    slo_ttft_s = models.FloatField(null=True, blank=True)
    slo_tpot_s = models.FloatField(null=True, blank=True)
    slo_e2e_s = models.FloatField(null=True, blank=True)
    slo_percentile = models.FloatField(default=90.0)
    allowed_providers = models.JSONField(default=list)  # empty: all
    allowed_regions = models.JSONField(default=list)  # empty: all
    allows_spot = models.BooleanField(default=True)
    default_available_count = models.PositiveIntegerField(default=8)  # cap where the provider does not say
    solve_token = models.CharField(max_length=36, blank=True, default="")  # guards the apply phase of a solve
    progress = models.JSONField(default=dict)  # {"phase": "enumerate", "fraction": 0.3, "text": "..."}
    market_as_of = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(budget_usd_per_hour__gt=0), name="plan_request_budget_positive")
        ]

    def __str__(self) -> str:
        return f"plan request {self.pk} for {self.deployment_name}"


class Plan(models.Model):
    """The planner's answer to one request; written once per successful solve."""

    request = models.OneToOneField(PlanRequest, on_delete=models.CASCADE, related_name="plan")
    created_at = models.DateTimeField()
    usd_per_hour = models.DecimalField(max_digits=12, decimal_places=6)
    body = models.JSONField()  # engine.domain.plan.Plan by engine.domain.codec
    instance = models.JSONField()  # the instance file of specs section 8, for export and replay
    offers = models.JSONField()  # offer id -> {"usd_per_hour", "observed_at", "provider", "region", ...} used

    def __str__(self) -> str:
        return f"plan of request {self.request_id}"
