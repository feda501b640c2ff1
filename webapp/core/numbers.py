"""Reading whole numbers that callers put into addresses and forms."""

from typing import Final

_MAX_DIGITS: Final = 18  # fits a 64-bit column; Python itself refuses to read endless digits


def find_number(text: str) -> int | None:
    """Return the number that at most 18 ASCII digits say; None for anything else."""
    if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    return int(text)
