"""Offers: machine types that can be rented, at one place and price, as seen at one instant."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Market(StrEnum):
    """How an offer is sold."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One rentable machine type at one provider, region and market.

    Attributes:
        id: stable identity `provider:region[:zone]:instance_type:market`, without price or instant.
        gpu_name: canonical name of the accelerator, see `engine.domain.gpu_catalog`.
        gpu_count: accelerators in one machine, >= 1.
        usd_per_hour: price of the whole machine, > 0 [USD/h].
        available_count: machines that can be had now; None when the provider does not say.
        interruption_class: 0..4 of the spot advisor (< 5, 5-10, 10-15, 15-20, > 20 % a month); None on demand.
        source: where the figure was read.
        observed_at: instant of the observation, UTC.
    """

    id: str
    provider: str
    region: str
    zone: str = ""
    instance_type: str
    gpu_name: str
    gpu_count: int
    usd_per_hour: float
    market: Market
    available_count: int | None
    interruption_class: int | None = None
    source: str
    observed_at: datetime

    @property
    def usd_per_gpu_hour(self) -> float:
        """Price of one accelerator [USD/h]."""
        return self.usd_per_hour / self.gpu_count


def define_offer_id(*, provider: str, region: str, zone: str, instance_type: str, market: Market) -> str:
    """Return the identity under which all observations of this offer are kept."""
    place = f"{provider}:{region}:{zone}" if zone else f"{provider}:{region}"
    return f"{place}:{instance_type}:{market}"
