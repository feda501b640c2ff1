"""Reading the outbox strictly in id order, although transactions may commit out of id order.

A missing id below a visible one was either rolled back or belongs to a transaction that still runs. The cursor
stops in front of such a gap until every transaction that was emitting when the gap was seen has ended; what is
missing then will never come. So nothing below `position` can appear later, and `position` is a safe bookmark.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMark:
    """Identity and topic of one event."""

    id: int
    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    """Emitters that ran when ids up to `upto` were seen with gaps."""

    upto: int
    emitters: frozenset[str]


class EventCursor:
    """Position in the outbox; `advance` moves it as far as order allows.

    Args:
        position: id of the newest event that counts as delivered.
        read_marks: returns the marks of visible events above an id, in id order; may be cut off.
        read_emitters: returns the transactions that hold the emit lock now; always empty where commits are in id order.
    """

    def __init__(
        self,
        *,
        position: int,
        read_marks: Callable[[int], Sequence[EventMark]],
        read_emitters: Callable[[], frozenset[str]],
    ) -> None:
        self.position = position
        self._settled = position  # ids up to here that are missing were rolled back
        self._watch: _Watch | None = None
        self._read_marks = read_marks
        self._read_emitters = read_emitters

    @property
    def is_waiting(self) -> bool:
        """Whether a gap keeps later events back."""
        return self._watch is not None

    def advance(self) -> list[EventMark]:
        """Return the events that can be delivered now, in id order, and move behind them."""
        marks = self._read_marks(self.position)
        if self._has_gap(marks):
            marks = self._look_into_gap(marks)
        else:
            self._watch = None
        delivered = self._take_contiguous(marks)
        if delivered:
            self.position = delivered[-1].id
        return delivered

    def _has_gap(self, marks: Sequence[EventMark]) -> bool:
        return len(self._take_contiguous(marks)) < len(marks)

    def _take_contiguous(self, marks: Sequence[EventMark]) -> list[EventMark]:
        delivered: list[EventMark] = []
        expected = self.position + 1
        for mark in marks:
            if mark.id > expected and mark.id - 1 > self._settled:
                break
            delivered.append(mark)
            expected = mark.id + 1
        return delivered

    def _look_into_gap(self, marks: Sequence[EventMark]) -> Sequence[EventMark]:
        """Settle the gaps whose possible owners have all ended; return the marks as they stand after that."""
        emitters = self._read_emitters()
        if self._watch is None:
            self._watch = _Watch(upto=marks[-1].id, emitters=emitters)
        else:
            self._watch = _Watch(upto=self._watch.upto, emitters=self._watch.emitters & emitters)
        if self._watch.emitters:
            return marks
        # Read again: an owner may have committed between the first reading and the look at the locks.
        self._settled = self._watch.upto
        self._watch = None
        return self._read_marks(self.position)
