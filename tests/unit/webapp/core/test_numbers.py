"""Whole numbers from addresses and forms."""

import pytest

from webapp.core.numbers import find_number


class TestFindNumber:
    @pytest.mark.parametrize(("text", "number"), [("0", 0), ("42", 42), ("9" * 18, 10**18 - 1)])
    def test_reads_digits(self, text: str, number: int) -> None:
        assert find_number(text) == number

    @pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "\u0663", "9" * 19, "9" * 5000], ids=lambda text: text[:5])
    def test_finds_none_in_anything_else(self, text: str) -> None:
        assert find_number(text) is None
