"""Offers from a table of text: every row is checked alone, so that one bad row does not cost the others.

Columns: provider, region, zone (optional), instance_type, gpu, gpu_count, market (`on_demand` or `spot`),
usd_per_hour of the whole machine, available_count (empty: not said), interruption_class (0..4, spot only, may be
empty), source, observed_at (ISO date, or instant with its zone).
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from engine.domain.gpu_catalog import normalise_gpu_name
from engine.domain.offer import Market, Offer, define_offer_id
from engine.errors import InvalidInputError

REQUIRED_COLUMNS: Final = (
    "provider", "region", "instance_type", "gpu", "gpu_count", "market", "usd_per_hour", "source", "observed_at",
)  # fmt: skip
_RESERVED_PROVIDERS: Final = frozenset({"local", "ssh"})  # machines the console knows itself, not from tables
_MIN_USD_PER_HOUR: Final = 0.0001  # less is a misread figure; the database keeps six decimals
_MAX_USD_PER_HOUR: Final = 100_000.0  # more is a misread figure, not a machine
_MAX_COUNT: Final = 1_000_000
_MAX_DIGITS: Final = 12  # of a count: Python refuses to read endless ones
_OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)  # nobody rented a GPU by the hour before
_MAX_INTERRUPTION_CLASS: Final = 4
_MAX_LENGTH: Final = {"provider": 32, "region": 64, "zone": 64, "instance_type": 96, "source": 300}
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # parts of an offer id hold no colon and no space
_SURPLUS: Final = ""  # key of cells behind the last column
_DATE_LENGTH: Final = len("2025-03-01")


class InvalidOfferTableError(InvalidInputError):
    """The table as a whole cannot be read."""

    code = "invalid_offer_table"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A row that was not loaded.

    Attributes:
        row: line of the table; the header is line 1; 0 where only the comparison with stored offers told.
        field: column at fault.
        message: what is wrong with it, in words.
    """

    row: int
    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferTable:
    """What a table held."""

    offers: tuple[Offer, ...]
    refused: tuple[RefusedRow, ...]


class _RowError(Exception):
    """One field of the row at hand is wrong; never leaves this module."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def parse_offer_table(lines: Iterable[str], *, now: datetime) -> OfferTable:
    """Return the offers of a CSV table and the rows that were refused.

    Args:
        lines: lines of the table, the header first.
        now: instant of the load, UTC; observations after it are refused.
    Raises:
        InvalidOfferTableError: a required column is missing, or the text is no CSV.
    """
    reader = csv.DictReader(_drop_byte_order_mark(lines), restkey=_SURPLUS)
    offers: list[Offer] = []
    refused: list[RefusedRow] = []
    seen: set[tuple[str, datetime]] = set()
    try:
        _check_columns(reader.fieldnames or ())
        for row in reader:
            try:
                offers.append(_parse_row(row, now=now, seen=seen))
            except _RowError as error:
                refused.append(RefusedRow(row=reader.line_num, field=error.field, message=str(error)))
    except csv.Error as error:
        raise InvalidOfferTableError(
            f"the table cannot be read: {error}", field="table", remedy="give comma-separated text in UTF-8"
        ) from error
    return OfferTable(offers=tuple(offers), refused=tuple(refused))


def _drop_byte_order_mark(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines without the mark that spreadsheets put before the first one."""
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix("\ufeff")


def _check_columns(columns: Iterable[str]) -> None:
    present = set(columns)
    missing = [column for column in REQUIRED_COLUMNS if column not in present]
    if missing:
        raise InvalidOfferTableError(
            f"the table has no column {missing[0]!r}",
            field=missing[0],
            remedy=f"the first line must name {', '.join(REQUIRED_COLUMNS)}",
        )


def _parse_row(row: Mapping[str, str | None], *, now: datetime, seen: set[tuple[str, datetime]]) -> Offer:
    if any(row.get(_SURPLUS) or ()):
        raise _RowError("source", "the row has more cells than the header; put text with commas in quotes")
    provider = _read_provider(row)
    region = _read_word(row, "region")
    zone = _read_word(row, "zone") if _read_text(row, "zone") else ""
    instance_type = _read_word(row, "instance_type")
    market = _read_market(row)
    offer = Offer(
        id=define_offer_id(provider=provider, region=region, zone=zone, instance_type=instance_type, market=market),
        provider=provider,
        region=region,
        zone=zone,
        instance_type=instance_type,
        gpu_name=_read_gpu(row),
        gpu_count=_read_count(row, "gpu_count", lowest=1),
        usd_per_hour=_read_price(row),
        market=market,
        available_count=_read_optional_count(row, "available_count"),
        interruption_class=_read_interruption_class(row, market),
        source=_read_required(row, "source"),
        observed_at=_read_instant(row, now),
    )
    if (offer.id, offer.observed_at) in seen:
        raise _RowError("instance_type", f"the table already holds {offer.id} at this instant")
    seen.add((offer.id, offer.observed_at))
    return offer


def _read_text(row: Mapping[str, str | None], field: str) -> str:
    return (row.get(field) or "").strip()


def _read_required(row: Mapping[str, str | None], field: str) -> str:
    text = _read_text(row, field)
    if not text:
        raise _RowError(field, f"{field} is empty")
    if len(text) > _MAX_LENGTH.get(field, len(text)):
        raise _RowError(field, f"{field} has {len(text)} characters; at most {_MAX_LENGTH[field]} are kept")
    return text


def _read_word(row: Mapping[str, str | None], field: str) -> str:
    text = _read_required(row, field)
    if not _WORD.fullmatch(text):
        raise _RowError(field, f"{field} {text!r} may hold letters, digits, dots, hyphens and underscores only")
    return text


def _read_provider(row: Mapping[str, str | None]) -> str:
    provider = _read_word(row, "provider")
    if provider.lower() in _RESERVED_PROVIDERS:
        raise _RowError("provider", f"provider {provider!r} is kept for the console's own machines; give another name")
    return provider


def _read_gpu(row: Mapping[str, str | None]) -> str:
    text = _read_required(row, "gpu")
    name = normalise_gpu_name(text)
    if name is None:
        raise _RowError("gpu", f"no accelerator is known as {text!r}")
    return name


def _read_count(row: Mapping[str, str | None], field: str, *, lowest: int) -> int:
    text = _read_required(row, field)
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise _RowError(field, f"{field} {text[:_MAX_DIGITS]!r} is not a whole number")
    if not lowest <= int(text) <= _MAX_COUNT:
        raise _RowError(field, f"{field} is {text}; it must be at least {lowest} and at most {_MAX_COUNT}")
    return int(text)


def _read_optional_count(row: Mapping[str, str | None], field: str) -> int | None:
    return _read_count(row, field, lowest=0) if _read_text(row, field) else None


def _read_price(row: Mapping[str, str | None]) -> float:
    text = _read_required(row, "usd_per_hour")
    try:
        usd_per_hour = float(text)
    except ValueError as error:
        raise _RowError("usd_per_hour", f"usd_per_hour {text!r} is not a number") from error
    if not (math.isfinite(usd_per_hour) and _MIN_USD_PER_HOUR <= usd_per_hour <= _MAX_USD_PER_HOUR):
        limits = f"at least {_MIN_USD_PER_HOUR:g} and at most {_MAX_USD_PER_HOUR:g}"
        raise _RowError("usd_per_hour", f"usd_per_hour is {text}; it must be {limits}")
    return usd_per_hour


def _read_market(row: Mapping[str, str | None]) -> Market:
    text = _read_required(row, "market")
    try:
        return Market(text)
    except ValueError as error:
        raise _RowError("market", f"market {text!r} is neither on_demand nor spot") from error


def _read_interruption_class(row: Mapping[str, str | None], market: Market) -> int | None:
    value = _read_optional_count(row, "interruption_class")
    if value is not None and market is not Market.SPOT:
        raise _RowError("interruption_class", "only spot offers have an interruption class")
    if value is not None and value > _MAX_INTERRUPTION_CLASS:
        raise _RowError("interruption_class", f"interruption_class is {value}; it must be 0 to 4")
    return value


def _read_instant(row: Mapping[str, str | None], now: datetime) -> datetime:
    text = _read_required(row, "observed_at")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise _RowError("observed_at", f"observed_at {text!r} is no ISO date or instant") from error
    if instant.tzinfo is None:
        if len(text) != _DATE_LENGTH:
            raise _RowError("observed_at", f"observed_at {text!r} names no time zone")
        instant = instant.replace(tzinfo=UTC)
    if instant > now:
        raise _RowError("observed_at", f"observed_at {text} is in the future")
    if instant < _OLDEST:
        raise _RowError("observed_at", f"observed_at {text} is before {_OLDEST:%Y}")
    return instant.astimezone(UTC)
