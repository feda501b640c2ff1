"""Between market rows (Decimal, ORM) and engine offers (float USD): the only place that crosses."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.domain import offer as engine_offer
from webapp.market.models import Offer

_PRICE_STEP: Final = Decimal("0.000001")  # scale of the database column


def usd_to_decimal(usd_per_hour: float) -> Decimal:
    """Return the price as the database keeps it [USD/h]."""
    return Decimal(repr(usd_per_hour)).quantize(_PRICE_STEP)


def row_to_offer(
    row: Offer, *, usd_per_hour: Decimal, available_count: int | None, source: str, observed_at: datetime
) -> engine_offer.Offer:
    """Return the engine's offer of a row with one of its observations."""
    return engine_offer.Offer(
        id=row.offer_id,
        provider=row.provider,
        region=row.region,
        zone=row.zone,
        instance_type=row.instance_type,
        gpu_name=row.gpu_name,
        gpu_count=row.gpu_count,
        usd_per_hour=float(usd_per_hour),
        market=engine_offer.Market(row.market),
        available_count=available_count,
        interruption_class=row.interruption_class,
        source=source,
        observed_at=observed_at,
    )
