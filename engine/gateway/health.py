"""Health of shards as their traffic shows it. Pure: the instant is an argument."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

_FIRST_BACK_OFF_S: Final = 0.25
_LONGEST_BACK_OFF_S: Final = 2.0  # a restarted shard is used again this soon
_TOLERATED_ERRORS: Final = 2  # in a row: one bad request must not take a shard from everybody


class FailureKind(StrEnum):
    """How an attempt failed before the caller saw a byte."""

    REFUSED = "refused"  # no connection: the request never reached the shard
    BROKEN = "broken"  # the connection ended, or said no HTTP
    ERROR_STATUS = "error_status"  # the shard answered 5xx
    TIMED_OUT = "timed_out"  # nothing came for too long


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardHealth:
    """What recent traffic says of one shard.

    Attributes:
        num_refusals: connections refused in a row.
        num_errors: other failures in a row.
        backs_off_until: instant before which it is left alone [s, monotonic].
    """

    num_refusals: int = 0
    num_errors: int = 0
    backs_off_until: float = 0.0


HEALTHY: Final = ShardHealth()


def after_failure(health: ShardHealth, kind: FailureKind, *, now: float) -> ShardHealth:
    """Return the health after a failed attempt.

    A refused connection speaks for itself; other failures may be the request's own fault and only count in a row.
    Requests that were under way when the shard was found bad say nothing new.
    """
    if is_backing_off(health, now=now):
        return health
    if kind is FailureKind.REFUSED:
        num_refusals, num_errors = health.num_refusals + 1, health.num_errors
    else:
        num_refusals, num_errors = health.num_refusals, health.num_errors + 1
    num_bad = num_refusals + max(0, num_errors - _TOLERATED_ERRORS)
    changed = replace(health, num_refusals=num_refusals, num_errors=num_errors)
    if num_bad == 0:
        return changed
    back_off_s = min(_LONGEST_BACK_OFF_S, _FIRST_BACK_OFF_S * 2.0 ** min(num_bad - 1, 10))
    return replace(changed, backs_off_until=now + back_off_s)


def is_backing_off(health: ShardHealth, *, now: float) -> bool:
    """Tell whether the shard is to be left alone."""
    return now < health.backs_off_until
