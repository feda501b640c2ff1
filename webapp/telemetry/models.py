"""Samples every two seconds, and their roll-up per minute."""

from django.db import models

from webapp.deployments.models import Deployment


class DeploymentSample(models.Model):
    """What the gateway measured for one deployment in one interval; latencies are None when nothing finished."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="samples")
    sampled_at = models.DateTimeField()
    interval_s = models.FloatField()  # 2: raw sample; 60: roll-up
    num_requests = models.PositiveIntegerField()
    num_failed = models.PositiveIntegerField()
    num_cancelled = models.PositiveIntegerField()
    num_within_slo = models.PositiveIntegerField()
    prompt_tokens = models.PositiveIntegerField()
    output_tokens = models.PositiveIntegerField()
    in_flight = models.PositiveIntegerField()
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

    def __str__(self) -> str:
        return f"{self.deployment_id} {self.sampled_at:%H:%M:%S}"


class ShardSample(models.Model):
    """What vLLM's /metrics said of one shard at one instant."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="shard_samples")
    shard_id = models.CharField(max_length=64)
    sampled_at = models.DateTimeField()
    num_running = models.PositiveIntegerField()
    num_waiting = models.PositiveIntegerField()
    kv_cache_usage_ratio = models.FloatField()
    output_tokens_per_s = models.FloatField()
    prompt_tokens_per_s = models.FloatField()

    class Meta:
        indexes = [models.Index(fields=["deployment", "sampled_at"])]

    def __str__(self) -> str:
        return f"{self.shard_id} {self.sampled_at:%H:%M:%S}"
