"""Conversions."""

import math

import pytest

from engine import units


class TestConversions:
    def test_are_exact(self) -> None:
        assert units.gib_to_bytes(22.5) == 24_159_191_040
        assert units.tflops_to_flop_per_s(989.5) == 989.5e12


class TestUsdPerMtok:
    def test_divides_the_hour_by_what_it_yields(self) -> None:
        assert units.usd_per_mtok(36.0, 1000.0) == pytest.approx(10.0)

    def test_is_endless_when_nothing_is_produced(self) -> None:
        assert units.usd_per_mtok(36.0, 0.0) == math.inf
