"""Figures as people read them."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from webapp.dashboard import figures


class TestFormatUsd:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (Decimal("1234.5"), "$1,234.50"),
            (1, "$1.00"),
            (0, "$0.00"),
            (0.02, "$0.02"),
            (Decimal("0.000001"), "$0.00"),
            (0.1234567, "$0.1235"),
            (0.5, "$0.50"),
            (None, "–"),
            (math.inf, "–"),
        ],
    )
    def test_shows_cents_or_four_decimals(self, value: float | Decimal | None, text: str) -> None:
        assert figures.format_usd(value) == text


class TestFormatFigure:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0, "0"),
            (0.000123, "0.000123"),
            (1.5, "1.5"),
            (3.14159, "3.14"),
            (56.29, "56.3"),
            (1234, "1,234"),
            (10_600, "10.6k"),
            (12_000_000, "12M"),
            (None, "–"),
            (math.nan, "–"),
        ],
    )
    def test_keeps_three_digits(self, value: float | None, text: str) -> None:
        assert figures.format_figure(value) == text


class TestFormatLatency:
    @pytest.mark.parametrize(
        ("value_s", "text"), [(0.0957, "95.7 ms"), (0.4, "400 ms"), (1.234, "1.23 s"), (2, "2 s"), (None, "–")]
    )
    def test_uses_milliseconds_below_a_second(self, value_s: float | None, text: str) -> None:
        assert figures.format_latency(value_s) == text


class TestFormatPercent:
    @pytest.mark.parametrize(
        ("ratio", "text"),
        [(0.0, "0 %"), (0.0001, "< 0.1 %"), (0.0714, "7.1 %"), (0.05, "5 %"), (1.0, "100 %"), (None, "–")],
    )
    def test_never_hides_what_is_above_zero(self, ratio: float | None, text: str) -> None:
        assert figures.format_percent(ratio) == text


class TestFormatAge:
    @pytest.mark.parametrize(
        ("age_s", "text"),
        [
            (0.2, "now"),
            (59, "59 s"),
            (60, "1 min"),
            (7200, "2 h"),
            (86_400, "1 d"),
            (40 * 86_400, "1 mo"),
            (8e7, "2 y"),
        ],
    )
    def test_uses_the_largest_unit(self, age_s: float, text: str) -> None:
        assert figures.format_age(age_s) == text


class TestFormatSince:
    def test_says_how_long_ago(self) -> None:
        now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        assert figures.format_since(now - timedelta(hours=3), now=now) == "3 h ago"
        assert figures.format_since(now + timedelta(hours=3), now=now) == "now"
