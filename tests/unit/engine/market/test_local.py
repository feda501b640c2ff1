"""This host as an offer."""

from datetime import UTC, datetime

from engine.domain.offer import Market
from engine.market.local import count_slots, define_local_offer
from engine.units import GIB

_NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class TestCountSlots:
    """The slots of a host..."""

    def test_are_its_cores_where_memory_allows(self) -> None:
        assert count_slots(num_cpus=8, memory_bytes=64 * GIB) == 8

    def test_are_bounded_by_memory(self) -> None:
        assert count_slots(num_cpus=64, memory_bytes=16 * GIB) == 8

    def test_are_at_least_two(self) -> None:
        assert count_slots(num_cpus=1, memory_bytes=1 * GIB) == 2


class TestDefineLocalOffer:
    """The offer of this host..."""

    def test_is_one_slot_at_the_configured_price(self) -> None:
        offer = define_local_offer(num_slots=4, usd_per_slot_hour=0.02, now=_NOW)
        assert offer.id == "local:this-host:cpu-slot:on_demand"
        assert (offer.gpu_name, offer.gpu_count) == ("cpu-slot", 1)
        assert (offer.usd_per_hour, offer.available_count, offer.market) == (0.02, 4, Market.ON_DEMAND)
        assert offer.observed_at == _NOW
