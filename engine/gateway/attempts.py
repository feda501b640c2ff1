"""When a failed attempt is followed by another one. Pure: the instant is an argument."""

from dataclasses import dataclass, replace
from typing import Final

from engine.gateway.errors import ApiError, NoReadyShardError, ShardsFailedError
from engine.gateway.health import FailureKind

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5


class AttemptFailedError(Exception):
    """An attempt failed before the caller saw a byte, so another shard may try."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLimits:
    """How long and how often a request is tried.

    Attributes:
        wait_s: how long after arrival a request may still wait for a shard [s].
        max_taken: attempts that shards took and failed; more would let one poisonous request kill shard after shard.
            Refused connections do not count: nothing reached a shard.
    """

    wait_s: float = 10.0
    max_taken: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What happened to one request so far.

    Attributes:
        tried: shards not to be asked again in this round; a wait begins a new round.
        num_taken: attempts that a shard took and failed.
        pause_s: length of the next wait [s].
    """

    tried: frozenset[str] = frozenset()
    num_taken: int = 0
    pause_s: float = _FIRST_PAUSE_S
    latest: AttemptFailedError | None = None
    latest_shard_id: str = ""


def after_failure(attempts: Attempts, shard_id: str, failure: AttemptFailedError) -> Attempts:
    """Return the state after a shard failed the request."""
    is_taken = failure.kind is not FailureKind.REFUSED
    return replace(
        attempts,
        tried=attempts.tried | {shard_id},
        num_taken=attempts.num_taken + is_taken,
        latest=failure,
        latest_shard_id=shard_id,
    )


def after_wait(attempts: Attempts) -> Attempts:
    """Return the state for a new round over all shards."""
    return replace(attempts, tried=frozenset(), pause_s=min(_LONGEST_PAUSE_S, 2.0 * attempts.pause_s))


def define_final_error(attempts: Attempts, *, model: str) -> ApiError:
    """Return the answer when no further attempt is made."""
    latest = attempts.latest
    if latest is None or latest.kind is FailureKind.REFUSED:
        return NoReadyShardError(f"no shard of {model} is ready: try again shortly")
    text = f"{model}: attempts {attempts.num_taken}, all failed; shard {attempts.latest_shard_id}: {latest.message}"
    return ShardsFailedError(text, shard_id=attempts.latest_shard_id)
