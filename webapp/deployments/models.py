"""Deployments made and kept true: machines, shards, the ledger, and the keys of the gateway."""

from django.db import models

from webapp.planning.models import PlanRequest


class DeploymentState(models.TextChoices):
    """Life of a deployment."""

    APPLYING = "applying", "Applying"
    LIVE = "live", "Live"
    DEGRADED = "degraded", "Degraded"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"


class Deployment(models.Model):
    """A plan being made or kept true."""

    name = models.SlugField(max_length=48, unique=True)
    state = models.CharField(max_length=16, choices=DeploymentState.choices, db_index=True)
    state_reason = models.TextField(blank=True, default="")
    plan_request = models.ForeignKey(PlanRequest, on_delete=models.PROTECT, related_name="+")
    budget_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=4)  # reservations never exceed it
    spend_limit_usd = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)  # hard limit in all
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    spend_warned_at = models.DateTimeField(null=True, blank=True)  # soft limit told, once per limit
    price_refused_at = models.DateTimeField(null=True, blank=True)  # a price above the approved one told, until it ends
    reconcile_token = models.CharField(max_length=36, blank=True, default="")  # who reconciles now
    reconcile_until = models.DateTimeField(null=True, blank=True)  # lease end of that token
    has_background_traffic = models.BooleanField(default=False)  # the demo's replay; switched on the page

    def __str__(self) -> str:
        return self.name


class MachineState(models.TextChoices):
    """Life of a machine; `reserved` is written before anything is rented."""

    RESERVED = "reserved", "Reserved"
    STARTING = "starting", "Starting"
    READY = "ready", "Ready"
    LOST = "lost", "Lost"
    RELEASING = "releasing", "Releasing"
    RELEASED = "released", "Released"
    FAILED = "failed", "Failed"


class Machine(models.Model):
    """A machine rented, or reserved to be rented, for a deployment."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="machines")
    plan_machine_id = models.CharField(max_length=16, blank=True)  # `m1` of the plan; empty: no plan wants it any more
    token = models.UUIDField(unique=True)  # idempotency key and tag at the provider
    provider = models.CharField(max_length=32)
    offer_id = models.CharField(max_length=200)
    usd_per_hour = models.DecimalField(max_digits=12, decimal_places=6)  # fixed when it is reserved
    state = models.CharField(max_length=16, choices=MachineState.choices, db_index=True)
    state_reason = models.TextField(blank=True, default="")
    provider_ref = models.CharField(max_length=200, blank=True, default="")  # the provider's id of it
    agent_url = models.CharField(max_length=200, blank=True, default="")
    agent_cert_pem = models.TextField(blank=True, default="")  # pinned at rent time
    agent_secrets_encrypted = models.TextField(blank=True, default="")  # its token and private key, see `secrets`
    created_at = models.DateTimeField()
    rent_started_at = models.DateTimeField(null=True, blank=True)  # from here on it may cost money
    ready_at = models.DateTimeField(null=True, blank=True)
    lost_at = models.DateTimeField(null=True, blank=True)  # since when it is lost without a break
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["deployment", "plan_machine_id"],
                condition=~models.Q(state__in=["released", "failed"]) & ~models.Q(plan_machine_id=""),
                name="one_machine_per_planned_one",
            ),
            models.CheckConstraint(condition=models.Q(usd_per_hour__gt=0), name="machine_price_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.deployment_id}/{self.plan_machine_id or self.token}"


class LedgerEntry(models.Model):
    """Money of one machine: price fixed at rent time, accrued per second, closed at release."""

    machine = models.OneToOneField(Machine, on_delete=models.PROTECT, related_name="ledger")
    usd_per_hour = models.DecimalField(max_digits=12, decimal_places=6)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.usd_per_hour} USD/h since {self.opened_at:%Y-%m-%d %H:%M}"


class ShardState(models.TextChoices):
    """Life of a shard; `ready` means that it answers requests."""

    PENDING = "pending", "Pending"
    STARTING = "starting", "Starting"
    READY = "ready", "Ready"
    UNHEALTHY = "unhealthy", "Unhealthy"
    RESTARTING = "restarting", "Restarting"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"


class Shard(models.Model):
    """One replica made real: a running vLLM server process group."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="shards")
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="shards")
    shard_id = models.CharField(max_length=64, unique=True)  # `<deployment>-r1-<machine token prefix>`
    replica_id = models.CharField(max_length=16)  # `r1` of the plan
    state = models.CharField(max_length=16, choices=ShardState.choices, db_index=True)
    state_reason = models.TextField(blank=True, default="")
    url = models.CharField(max_length=200, blank=True, default="")
    port = models.PositiveIntegerField(null=True, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    num_restarts = models.PositiveIntegerField(default=0)
    spec = models.JSONField()  # engine.serving.protocol.ShardSpec
    weights = models.JSONField(default=dict)  # class id -> share of that class
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.shard_id


class GatewayKey(models.Model):
    """A client's key to one deployment; only its SHA-256 is kept."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=64)
    prefix = models.CharField(max_length=12)  # shown to tell keys apart
    key_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.prefix}... ({self.name})"
