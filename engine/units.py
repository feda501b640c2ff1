"""Conversions between the units people write and the base units the engine computes in.

Base units are s, bytes, USD, tokens and flop; convert once, at the edge.
"""

from typing import Final

GIB: Final = 1024**3  # bytes in a binary gibibyte
GB: Final = 10**9  # bytes in a decimal gigabyte
MIB: Final = 1024**2  # bytes in a binary mebibyte
TERA: Final = 10**12
SECONDS_PER_HOUR: Final = 3600.0
TOKENS_PER_MTOK: Final = 1_000_000


def gib_to_bytes(memory_gib: float) -> int:
    """Return bytes for a binary GiB figure."""
    return round(memory_gib * GIB)


def tflops_to_flop_per_s(tflops: float) -> float:
    """Return flop/s for a TFLOP/s figure."""
    return tflops * TERA


def usd_per_mtok(usd_per_hour: float, tokens_per_s: float) -> float:
    """Return USD per million tokens of a service that costs `usd_per_hour` and yields `tokens_per_s`.

    Returns inf when nothing is produced.
    """
    if tokens_per_s <= 0.0:
        return float("inf")
    return usd_per_hour / SECONDS_PER_HOUR / tokens_per_s * TOKENS_PER_MTOK
