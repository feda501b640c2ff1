"""When a failed attempt is followed by another one."""

from engine.gateway.attempts import AttemptFailedError, Attempts, after_failure, after_wait, define_final_error
from engine.gateway.errors import NoReadyShardError, ShardsFailedError
from engine.gateway.health import FailureKind

REFUSED = AttemptFailedError(FailureKind.REFUSED, "no connection")
BROKEN = AttemptFailedError(FailureKind.BROKEN, "it closed")


class TestAfterFailure:
    def test_remembers_the_shard(self) -> None:
        found = after_failure(after_failure(Attempts(), "a", BROKEN), "b", REFUSED)
        assert (found.tried, found.latest, found.latest_shard_id) == ({"a", "b"}, REFUSED, "b")

    def test_counts_only_what_a_shard_took(self) -> None:
        found = after_failure(after_failure(Attempts(), "a", BROKEN), "b", REFUSED)
        assert found.num_taken == 1


class TestAfterWait:
    def test_begins_a_new_round(self) -> None:
        found = after_wait(after_failure(Attempts(), "a", BROKEN))
        assert (found.tried, found.num_taken, found.latest) == (frozenset(), 1, BROKEN)

    def test_waits_longer_each_time_up_to_a_limit(self) -> None:
        found, pauses = Attempts(), []
        for _ in range(6):
            pauses.append(found.pause_s)
            found = after_wait(found)
        assert pauses == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


class TestDefineFinalError:
    def test_asks_to_try_again_when_nothing_was_reached(self) -> None:
        assert isinstance(define_final_error(Attempts(), model="m"), NoReadyShardError)
        assert isinstance(define_final_error(after_failure(Attempts(), "a", REFUSED), model="m"), NoReadyShardError)

    def test_tells_what_the_latest_shard_did(self) -> None:
        error = define_final_error(after_failure(Attempts(), "a", BROKEN), model="m")
        assert isinstance(error, ShardsFailedError)
        assert error.message == "m: attempts 1, all failed; shard a: it closed"
