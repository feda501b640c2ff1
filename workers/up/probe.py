"""Whether a server answers."""

from collections.abc import Callable
from typing import Final

import httpx

_TIMEOUT_S: Final = 2.0

Probe = Callable[[str], bool]


def answers(url: str) -> bool:
    """Return whether anything that speaks HTTP answers at `url`, whatever it says."""
    try:
        httpx.get(url, timeout=_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError:
        return False
    return True
