"""Figures as people read them: money, rates, latencies, ages, each with its unit."""

import math
from datetime import datetime
from decimal import Decimal
from typing import Final

NOTHING: Final = "–"
_SIGNIFICANT: Final = 3  # digits of a measured or predicted figure: estimates carry no more
_AGE_UNITS: Final = ((365 * 86_400, "y"), (30 * 86_400, "mo"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SI: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))

Number = float | int | Decimal


def format_usd(value: Number | None) -> str:
    """Return money in USD: cents from one dollar on, up to four decimals below."""
    if value is None or not math.isfinite(value):
        return NOTHING
    amount = Decimal(str(value))
    if amount == 0 or abs(amount) >= 1:
        return f"${amount:,.2f}"
    text = f"{amount:.4f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"${whole}.{decimals.ljust(2, '0')}"


def format_figure(value: Number | None) -> str:
    """Return a figure with three significant digits, large ones with k, M or G."""
    if value is None or not math.isfinite(value):
        return NOTHING
    number = float(value)
    for factor, letter in _SI:
        if abs(number) >= factor * 10:
            return f"{_round(number / factor)}{letter}"
    return _round(number)


def _round(value: float) -> str:
    if value == 0:
        return "0"
    decimals = max(_SIGNIFICANT - 1 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_latency(value_s: float | None) -> str:
    """Return a latency given in seconds, in ms below one second."""
    if value_s is None or not math.isfinite(value_s):
        return NOTHING
    return f"{_round(value_s * 1000)} ms" if value_s < 1 else f"{_round(value_s)} s"


def format_percent(ratio: float | None) -> str:
    """Return a ratio as percent; what is above zero never reads as 0 %."""
    if ratio is None or not math.isfinite(ratio):
        return NOTHING
    percent = ratio * 100
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %".replace(".0 %", " %") if percent < 10 else f"{percent:.0f} %"


def format_age(age_s: float) -> str:
    """Return a time span in its largest unit, e.g. `3 h`."""
    for seconds, unit in _AGE_UNITS:
        if age_s >= seconds:
            return f"{int(age_s // seconds)} {unit}"
    return "now"


def format_since(instant: datetime, *, now: datetime) -> str:
    """Return how long ago an instant was."""
    text = format_age(max((now - instant).total_seconds(), 0.0))
    return text if text == "now" else f"{text} ago"
