"""How many requests background traffic may have on their way: more while they keep the SLO, fewer otherwise. Pure."""

from typing import Final

_FEWEST: Final = 1.0
_START: Final = 4.0
_IN_FLIGHT_S: Final = 5.0  # at most so many seconds of arrivals
_MOST: Final = 256.0
_DECREASE: Final = 0.7  # additive increase, multiplicative decrease, as TCP shares a link
_PAUSE_S: Final = 1.0  # requests that were on their way together count as one sign


class Throttle:
    """A bound on requests on their way; what comes above it is left out, never queued.

    A plan's prediction can be wrong and a host can be busy with other things: traffic that nobody asked for must not be
    what breaks the SLO of those who did.
    """

    def __init__(self, *, requests_per_s: float) -> None:
        self._most = min(max(_START, requests_per_s * _IN_FLIGHT_S), _MOST)
        self._limit = _START
        self._lowered_at_s = float("-inf")

    @property
    def limit(self) -> int:
        """How many may be on their way now."""
        return int(self._limit)

    def note(self, *, is_good: bool, now_s: float) -> None:
        """Learn from a request that ended.

        Args:
            is_good: whether it succeeded within the SLO.
            now_s: any clock that does not jump [s].
        """
        if is_good:
            self._limit = min(self._limit + 1.0 / self._limit, self._most)
        elif now_s - self._lowered_at_s >= _PAUSE_S:
            self._limit = max(self._limit * _DECREASE, _FEWEST)
            self._lowered_at_s = now_s
