"""Running a module with Django set up."""

import sys
from types import ModuleType

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from engine.errors import RefusedError
from workers import with_django


def install(monkeypatch: pytest.MonkeyPatch, error: Exception | None, code: int = 0) -> None:
    """Make a module whose `main` raises or returns."""
    module = ModuleType("a_module")

    def main() -> int:
        if error is not None:
            raise error
        return code

    module.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_module", module)


class TestRun:
    def test_returns_the_exit_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, None, code=4)
        assert with_django.run("a_module") == 4

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            (
                OperationalError("connection refused\n"),
                "  ! the database cannot be used: connection refused; check",
            ),
            (ImproperlyConfigured("MEDLEY_DEBUG='x' is not a boolean"), "  ! MEDLEY_DEBUG='x' is not a boolean"),
            (RefusedError("not allowed"), "  ! not allowed"),
            (PermissionError(13, "Permission denied"), "  ! [Errno 13] Permission denied"),
        ],
    )
    def test_says_in_words_what_a_person_can_mend(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, text: str
    ) -> None:
        install(monkeypatch, error)
        assert with_django.run("a_module") == 1
        assert capsys.readouterr().err.startswith(text)

    def test_does_not_hide_a_defect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            with_django.run("a_module")
