"""Request traces in the Azure CSV format, and the request classes that represent them.

A trace has the columns TIMESTAMP, ContextTokens and GeneratedTokens, one row per request.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.domain.workload import ArrivalProcess, RequestClass, Workload
from engine.domain.workload_presets import define_class_name
from engine.errors import InvalidInputError

_COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_MAX_ROUNDS: Final = 100  # of k-means; real traces settle within 30
_LARGEST_TOKENS: Final = 10_000_000  # more is a broken row, not a request
_MAX_REQUESTS: Final = 1_000_000  # more take minutes to read, and their classes hardly move
_MAX_POINTS: Final = 20_000  # of k-means: its time grows with points and rounds
_CHUNK: Final = 65_536  # points whose distances are held at once


class InvalidTraceError(InvalidInputError):
    """A trace's file cannot be used; `data` has `row` (1 = header) and `column`."""

    code = "invalid_trace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Requests in order of arrival.

    Attributes:
        started_at: arrival of the first request, UTC.
        arrivals_s: arrival of each request after the first [s], never falling.
        prompt_tokens, output_tokens: sizes of each request, >= 1 [tokens].
    """

    started_at: datetime
    arrivals_s: tuple[float, ...]
    prompt_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]

    @property
    def num_requests(self) -> int:
        """Requests in the trace."""
        return len(self.arrivals_s)

    @property
    def duration_s(self) -> float:
        """Time from the first to the last arrival [s]."""
        return self.arrivals_s[-1]

    @property
    def requests_per_s(self) -> float:
        """Mean arrival rate [requests/s]; 0 when all came at once."""
        return (self.num_requests - 1) / self.duration_s if self.duration_s > 0.0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredTrace:
    """Request classes that stand for a trace, with its mean rate [requests/s]."""

    classes: tuple[RequestClass, ...]
    requests_per_s: float
    num_requests: int
    duration_s: float

    def to_workload(self, *, name: str, model_id: str) -> Workload:
        """Return the workload of a model; `name` is the trace's own."""
        return Workload(
            name=name,
            model_id=model_id,
            classes=self.classes,
            requests_per_s=self.requests_per_s,
            arrival=ArrivalProcess.TRACE,
            source=name,
        )


def parse_trace_csv(text: str | Iterable[str]) -> Trace:
    """Return the trace that CSV text (or its lines) holds, sorted by arrival.

    Timestamps without an offset are UTC. Further columns are ignored.

    Raises:
        InvalidTraceError: a column is missing, a value cannot be used, the text is no CSV, or there are no or too
            many requests.
    """
    reader = csv.DictReader(io.StringIO(text) if isinstance(text, str) else text)
    try:
        rows = _read_rows(reader)
    except csv.Error as error:
        raise _refuse(reader.line_num + 1, "TIMESTAMP", f"cannot be read: {error}") from error
    rows.sort(key=lambda row: row[0])
    started_at = rows[0][0]
    return Trace(
        started_at=started_at,
        arrivals_s=tuple((at - started_at).total_seconds() for at, _, _ in rows),
        prompt_tokens=tuple(prompt_tokens for _, prompt_tokens, _ in rows),
        output_tokens=tuple(output_tokens for _, _, output_tokens in rows),
    )


def _read_rows(reader: "csv.DictReader[str]") -> list[tuple[datetime, int, int]]:
    header = [name.strip().lstrip("\ufeff") for name in reader.fieldnames or ()]
    reader.fieldnames = header
    for column in _COLUMNS:
        if column not in header:
            raise _refuse(1, column, "is missing from the header")
    rows: list[tuple[datetime, int, int]] = []
    for number, row in enumerate(reader, start=2):
        if len(rows) == _MAX_REQUESTS:
            raise _refuse_length(number)
        rows.append(_parse_row(number, row))
    if not rows:
        raise _refuse(2, "TIMESTAMP", "is missing: the trace has no request")
    return rows


def _refuse_length(row: int) -> InvalidTraceError:
    return InvalidTraceError(
        f"row {row}: the trace has more than {_MAX_REQUESTS:,} requests",
        field="TIMESTAMP",
        remedy="give a shorter part of the trace; an hour of it is enough to plan with",
        row=row,
        column="TIMESTAMP",
    )


def _refuse(row: int, column: str, message: str) -> InvalidTraceError:
    return InvalidTraceError(
        f"row {row}: {column} {message}",
        field=column,
        remedy=f"give a CSV file with the columns {', '.join(_COLUMNS)}",
        row=row,
        column=column,
    )


def _parse_row(number: int, row: dict[str, str | None]) -> tuple[datetime, int, int]:
    return (
        _parse_instant(number, row.get("TIMESTAMP")),
        _parse_tokens(number, "ContextTokens", row.get("ContextTokens")),
        _parse_tokens(number, "GeneratedTokens", row.get("GeneratedTokens")),
    )


def _parse_instant(number: int, text: str | None) -> datetime:
    try:
        instant = datetime.fromisoformat((text or "").strip())
    except ValueError as error:
        raise _refuse(number, "TIMESTAMP", f"{text!r} is not a date and time") from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _parse_tokens(number: int, column: str, text: str | None) -> int:
    try:
        tokens = int((text or "").strip())
    except ValueError as error:
        raise _refuse(number, column, f"{text!r} is not a whole number") from error
    if not 1 <= tokens <= _LARGEST_TOKENS:
        raise _refuse(number, column, f"{tokens} is not a number of tokens")
    return tokens


def cluster_trace(trace: Trace, *, num_classes: int = 9, seed: int = 0) -> ClusteredTrace:
    """Return at most `num_classes` request classes that stand for a trace.

    k-means over (ln prompt, ln output) with k-means++ starts: sizes spread over orders of magnitude. The centres of
    a trace of more than 20,000 requests are those of as many drawn at random with `seed`; every request then joins
    its nearest centre. A class stands for its requests by their mean sizes, so that tokens in all are kept up to
    rounding.

    Args:
        trace: the requests.
        num_classes: classes wanted, >= 1; fewer come back when sizes coincide.
        seed: of the draw and the starts; the same trace and seed give the same classes.
    Raises:
        InvalidTraceError: `num_classes` is below 1.
    """
    if num_classes < 1:
        raise InvalidTraceError(
            f"num_classes: {num_classes} is not a number of classes", field="num_classes", remedy="give 1 or more"
        )
    sizes = np.column_stack([trace.prompt_tokens, trace.output_tokens]).astype(np.float64)
    points = np.log(sizes)
    rng = np.random.default_rng(seed)
    labels = _find_nearest(points, _find_centres(_draw_points(points, rng), num_classes, rng))
    return ClusteredTrace(
        classes=_define_classes(sizes, labels),
        requests_per_s=trace.requests_per_s,
        num_requests=trace.num_requests,
        duration_s=trace.duration_s,
    )


def _draw_points(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return all points, or as many as k-means takes."""
    if len(points) <= _MAX_POINTS:
        return points
    return points[rng.choice(len(points), size=_MAX_POINTS, replace=False)]


def _find_centres(points: NDArray[np.float64], num_classes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the centres after Lloyd's rounds."""
    centres = _choose_starts(points, min(num_classes, len(np.unique(points, axis=0))), rng)
    labels = _find_nearest(points, centres)
    for _ in range(_MAX_ROUNDS):
        used = [index for index in range(len(centres)) if np.any(labels == index)]
        centres = np.array([points[labels == index].mean(axis=0) for index in used])
        moved = _find_nearest(points, centres)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return centres


def _choose_starts(points: NDArray[np.float64], num_centres: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return k-means++ starts: each next one drawn in proportion to the squared distance from those before."""
    centres = [points[rng.integers(len(points))]]
    nearest = ((points - centres[0]) ** 2).sum(axis=1)
    while len(centres) < num_centres:
        centres.append(points[rng.choice(len(points), p=nearest / nearest.sum())])
        nearest = np.minimum(nearest, ((points - centres[-1]) ** 2).sum(axis=1))
    return np.array(centres)


def _find_nearest(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of the centre nearest to every point."""
    nearest = np.empty(len(points), dtype=np.int64)
    for start in range(0, len(points), _CHUNK):
        chunk = points[start : start + _CHUNK]
        distances = ((chunk[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
        nearest[start : start + _CHUNK] = distances.argmin(axis=1)
    return nearest


def _define_classes(sizes: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[RequestClass, ...]:
    counts: dict[tuple[int, int], int] = {}
    for label in np.unique(labels):
        members = sizes[labels == label]
        prompt_tokens, output_tokens = (max(1, round(float(mean))) for mean in members.mean(axis=0))
        counts[prompt_tokens, output_tokens] = counts.get((prompt_tokens, output_tokens), 0) + len(members)
    return tuple(
        RequestClass(
            id=define_class_name(prompt_tokens, output_tokens),
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            share=count / len(sizes),
        )
        for (prompt_tokens, output_tokens), count in sorted(counts.items())
    )
