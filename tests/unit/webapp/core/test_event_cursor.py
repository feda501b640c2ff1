"""Order in the outbox, although transactions commit out of order."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from webapp.core.event_cursor import EventCursor, EventMark


@dataclass
class Outbox:
    """A table of visible events, and the transactions that may still add to it."""

    visible: set[int] = field(default_factory=set)
    emitters: set[str] = field(default_factory=set)
    batch: int = 1000

    def read_marks(self, after: int) -> Sequence[EventMark]:
        """Return the next visible events."""
        return [EventMark(id=pk, topic="t") for pk in sorted(self.visible) if pk > after][: self.batch]

    def read_emitters(self) -> frozenset[str]:
        """Return who emits now."""
        return frozenset(self.emitters)

    def make_cursor(self, position: int = 0) -> EventCursor:
        """Return a cursor on this outbox."""
        return EventCursor(position=position, read_marks=self.read_marks, read_emitters=self.read_emitters)


def _advance(cursor: EventCursor) -> list[int]:
    return [mark.id for mark in cursor.advance()]


class TestAdvance:
    def test_delivers_in_order_and_moves_on(self) -> None:
        outbox = Outbox(visible={1, 2, 3})
        cursor = outbox.make_cursor()
        assert _advance(cursor) == [1, 2, 3]
        assert cursor.position == 3
        assert _advance(cursor) == []
        outbox.visible.add(4)
        assert _advance(cursor) == [4]

    def test_waits_for_a_transaction_that_still_runs(self) -> None:
        outbox = Outbox(visible={1, 3}, emitters={"a"})
        cursor = outbox.make_cursor()
        assert _advance(cursor) == [1]
        assert cursor.is_waiting
        assert _advance(cursor) == []
        outbox.visible.add(2)
        outbox.emitters.clear()
        assert _advance(cursor) == [2, 3]
        assert not cursor.is_waiting

    def test_passes_over_what_was_rolled_back(self) -> None:
        outbox = Outbox(visible={1, 3}, emitters={"a"})
        cursor = outbox.make_cursor()
        assert _advance(cursor) == [1]
        outbox.emitters.clear()
        assert _advance(cursor) == [3]
        assert cursor.position == 3

    def test_does_not_wait_where_nobody_emits(self) -> None:
        assert _advance(Outbox(visible={1, 5, 9}).make_cursor()) == [1, 5, 9]

    def test_does_not_wait_for_emitters_that_came_later(self) -> None:
        outbox = Outbox(visible={1, 3}, emitters={"a"})
        cursor = outbox.make_cursor()
        _advance(cursor)
        outbox.emitters = {"b"}
        assert _advance(cursor) == [3]

    def test_sees_an_owner_that_committed_between_the_two_readings(self) -> None:
        outbox = Outbox(visible={1, 3}, emitters={"a"})

        def commit_meanwhile() -> frozenset[str]:
            outbox.visible.add(2)
            return frozenset()

        cursor = EventCursor(position=0, read_marks=outbox.read_marks, read_emitters=commit_meanwhile)
        assert _advance(cursor) == [1, 2, 3]

    def test_watches_a_second_gap_by_itself(self) -> None:
        outbox = Outbox(visible={2}, emitters={"a"})
        cursor = outbox.make_cursor()
        assert _advance(cursor) == []
        outbox.visible.add(4)  # the owner of 3 began after the first gap was seen
        outbox.emitters = {"b"}
        assert _advance(cursor) == [2]
        outbox.visible.add(3)
        outbox.emitters.clear()
        assert _advance(cursor) == [3, 4]

    def test_works_through_batches(self) -> None:
        outbox = Outbox(visible=set(range(1, 8)), batch=3)
        cursor = outbox.make_cursor()
        assert [_advance(cursor) for _ in range(4)] == [[1, 2, 3], [4, 5, 6], [7], []]

    @pytest.mark.parametrize("seed", range(30))
    def test_loses_nothing_and_keeps_order_under_any_interleaving(self, seed: int) -> None:
        """Transactions take ids, then commit or roll back in any order; the cursor looks in between."""
        rng = random.Random(seed)
        outbox, open_ids, committed, delivered = Outbox(batch=5), {}, set(), []
        cursor, next_id = outbox.make_cursor(), itertools.count(1)
        for step in range(200):
            if rng.random() < 0.5 and step < 150:
                owner = f"t{step}"
                outbox.emitters.add(owner)
                open_ids[owner] = [next(next_id) for _ in range(rng.randint(1, 3))]
            elif open_ids:
                owner = rng.choice(sorted(open_ids))
                ids = open_ids.pop(owner)
                if rng.random() < 0.8:
                    outbox.visible.update(ids)
                    committed.update(ids)
                outbox.emitters.discard(owner)
            delivered += _advance(cursor)
        for owner in list(open_ids):
            open_ids.pop(owner)
            outbox.emitters.discard(owner)
        while found := _advance(cursor):
            delivered += found
        assert delivered == sorted(committed)
