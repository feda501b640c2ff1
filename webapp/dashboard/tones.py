"""Which colour a state has: one table, so that the same word looks the same on every page."""

from typing import Final

GOOD: Final = "good"
BUSY: Final = "busy"
WAIT: Final = "wait"
WARN: Final = "warn"
BAD: Final = "bad"
QUIET: Final = "quiet"

_TONES: Final[dict[str, str]] = {
    # plan requests
    "draft": QUIET, "solving": BUSY, "priced": BUSY, "policy_checked": BUSY, "awaiting_approval": WAIT,
    "approved": BUSY, "superseded": QUIET, "rejected": BAD, "stale": WARN, "infeasible": BAD,
    # plan requests and deployments
    "applying": BUSY, "live": GOOD, "stopped": QUIET, "failed": BAD,
    # deployments, machines and shards
    "degraded": WARN, "stopping": BUSY, "reserved": QUIET, "pending": QUIET, "starting": BUSY, "ready": GOOD,
    "lost": BAD, "releasing": BUSY, "released": QUIET, "unhealthy": WARN, "restarting": WARN,
    # solver and installation
    "optimal": GOOD, "feasible": WARN, "no_solution": BAD, "invalid": BAD,
    "absent": QUIET, "installing": BUSY,
}  # fmt: skip


def get_tone(state: str) -> str:
    """Return the tone of a state; a word that is not in the table looks quiet."""
    return _TONES.get(state, QUIET)


def get_label(state: str) -> str:
    """Return a state as people read it."""
    return state.replace("_", " ").capitalize()
