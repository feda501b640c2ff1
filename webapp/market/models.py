"""Offers and their append-only observations."""

from django.db import models


class Offer(models.Model):
    """Identity of one rentable machine type at one place and market; what changes stands in observations."""

    offer_id = models.CharField(max_length=200, unique=True)  # engine.domain.offer.define_offer_id
    provider = models.CharField(max_length=32, db_index=True)
    region = models.CharField(max_length=64)
    zone = models.CharField(max_length=64, blank=True, default="")
    instance_type = models.CharField(max_length=96)
    gpu_name = models.CharField(max_length=32, db_index=True)
    gpu_count = models.PositiveIntegerField()
    market = models.CharField(max_length=16)
    interruption_class = models.PositiveSmallIntegerField(null=True, blank=True)
    latest = models.ForeignKey("OfferObservation", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(gpu_count__gte=1), name="offer_gpu_count_positive")]

    def __str__(self) -> str:
        return self.offer_id


class OfferObservation(models.Model):
    """Price and availability of an offer as seen at one instant; never changed."""

    offer = models.ForeignKey(Offer, on_delete=models.CASCADE, related_name="observations")
    usd_per_hour = models.DecimalField(max_digits=12, decimal_places=6)
    available_count = models.PositiveIntegerField(null=True, blank=True)  # null: the provider does not say
    source = models.CharField(max_length=300)
    observed_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(usd_per_hour__gt=0), name="observation_price_positive"),
            models.UniqueConstraint(fields=["offer", "observed_at", "source"], name="observation_once"),
        ]

    def __str__(self) -> str:
        return f"{self.offer_id} {self.usd_per_hour} USD/h"


class MarketImport(models.Model):
    """One load of offers, with the rows that were refused and why."""

    source = models.CharField(max_length=300)
    started_at = models.DateTimeField()
    num_loaded = models.PositiveIntegerField(default=0)
    num_unchanged = models.PositiveIntegerField(default=0)
    refused = models.JSONField(default=list)  # [{"row": 3, "field": "usd_per_hour", "message": "..."}]

    def __str__(self) -> str:
        return f"{self.source} {self.started_at:%Y-%m-%d %H:%M}"
