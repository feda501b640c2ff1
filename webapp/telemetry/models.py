"""Samples every two seconds, their roll-ups, and how far each gateway was read."""

from django.db import models

from webapp.deployments.models import Deployment


class DeploymentSample(models.Model):
    """What the gateway measured for one deployment in the interval that ends at `sampled_at`.

    Latencies of a raw sample are percentiles over the requests finished in the last 30 s; None when there were none.
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="samples")
    sampled_at = models.DateTimeField()
    interval_s = models.FloatField()  # 2: raw sample; 60 and 3600: roll-ups
    num_requests = models.PositiveIntegerField()  # finished in any way, but for mistakes of callers
    num_failed = models.PositiveIntegerField()
    num_cancelled = models.PositiveIntegerField()  # the client went away
    num_within_slo = models.PositiveIntegerField()
    prompt_tokens = models.PositiveIntegerField()
    output_tokens = models.PositiveIntegerField()
    in_flight = models.PositiveIntegerField(null=True)  # at its end; unknown for intervals counted afterwards
    ttft_p50_s = models.FloatField(null=True)
    ttft_p90_s = models.FloatField(null=True)
    tpot_p50_s = models.FloatField(null=True)
    tpot_p90_s = models.FloatField(null=True)
    e2e_p50_s = models.FloatField(null=True)
    e2e_p90_s = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deployment", "interval_s", "sampled_at"], name="deployment_sample_once")
        ]
        indexes = [models.Index(fields=["interval_s", "sampled_at"], name="deployment_sample_age")]  # for retention

    def __str__(self) -> str:
        return f"{self.deployment_id} {self.sampled_at:%H:%M:%S}"


class ShardSample(models.Model):
    """What vLLM's /metrics said of one shard; a roll-up holds means."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="shard_samples")
    shard_id = models.CharField(max_length=64)
    sampled_at = models.DateTimeField()
    interval_s = models.FloatField()  # 2: raw sample; 60 and 3600: roll-ups
    num_running = models.FloatField()
    num_waiting = models.FloatField()
    kv_cache_usage_ratio = models.FloatField()
    output_tokens_per_s = models.FloatField()
    prompt_tokens_per_s = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["deployment", "interval_s", "sampled_at", "shard_id"], name="shard_sample_once"
            )
        ]
        indexes = [models.Index(fields=["interval_s", "sampled_at"], name="shard_sample_age")]  # for retention

    def __str__(self) -> str:
        return f"{self.shard_id} {self.sampled_at:%H:%M:%S}"


class GatewayCursor(models.Model):
    """How far the finished requests of one gateway were counted; moved in the transaction that counts them."""

    gateway_url = models.CharField(max_length=200, unique=True)
    instance = models.CharField(max_length=64)  # of the gateway process; its numbering starts anew with each
    next_seq = models.BigIntegerField()  # first request not counted yet
    sampled_at = models.DateTimeField()  # end of the latest interval that was counted

    def __str__(self) -> str:
        return f"{self.gateway_url} {self.next_seq}"
