"""When a crashed shard may start again. Pure."""

from dataclasses import dataclass
from typing import Final

MAX_DOUBLINGS: Final = 16  # keeps the power small; the cap is reached long before


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """Exponential back-off over crashes in a row.

    Attributes:
        base_delay_s: wait before the second restart in a row [s]; the first one is immediate.
        max_delay_s: longest wait [s].
        stable_after_s: a shard that was ready for this long starts counting anew [s].
        fails_after: crashes in a row, without being ready in between, after which the shard counts as failed.
    """

    base_delay_s: float = 1.0
    max_delay_s: float = 60.0
    stable_after_s: float = 60.0
    fails_after: int = 5

    def compute_delay_s(self, crashes_in_row: int) -> float:
        """Return how long to wait after the latest of `crashes_in_row` crashes (>= 1) [s]."""
        if crashes_in_row <= 1:
            return 0.0
        doublings = min(crashes_in_row - 2, MAX_DOUBLINGS)
        return min(self.max_delay_s, self.base_delay_s * 2.0**doublings)

    def is_stable(self, ready_for_s: float) -> bool:
        """Return whether a crash after this time in service begins a new row."""
        return ready_for_s >= self.stable_after_s
