"""Provider `local`: this host, offered as CPU slots at the price its owner sets."""

from datetime import datetime
from typing import Final

from engine.domain.gpu_catalog import CPU_SLOT, get_gpu_spec
from engine.domain.offer import Market, Offer, define_offer_id

PROVIDER: Final = "local"
REGION: Final = "this-host"
INSTANCE_TYPE: Final = "cpu-slot"
_MIN_SLOTS: Final = 2  # the demo runs two replicas, on any host


def count_slots(*, num_cpus: int, memory_bytes: int) -> int:
    """Return how many slots this host can offer: one per core, as far as memory reaches, but at least two.

    Args:
        num_cpus: cores this process may use.
        memory_bytes: memory of the host [bytes].
    """
    return max(min(num_cpus, memory_bytes // get_gpu_spec(CPU_SLOT).memory_bytes), _MIN_SLOTS)


def define_local_offer(*, num_slots: int, usd_per_slot_hour: float, now: datetime) -> Offer:
    """Return the offer of one slot of this host.

    Args:
        num_slots: slots that can be had.
        usd_per_slot_hour: what one slot is worth to its owner [USD/h], > 0.
        now: instant of the observation, UTC.
    """
    market = Market.ON_DEMAND
    return Offer(
        id=define_offer_id(provider=PROVIDER, region=REGION, zone="", instance_type=INSTANCE_TYPE, market=market),
        provider=PROVIDER,
        region=REGION,
        instance_type=INSTANCE_TYPE,
        gpu_name=CPU_SLOT,
        gpu_count=1,
        usd_per_hour=usd_per_slot_hour,
        market=market,
        available_count=num_slots,
        source="configured price of this host (MEDLEY_LOCAL_USD_PER_SLOT_HOUR)",
        observed_at=now,
    )
