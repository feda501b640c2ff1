"""Where the command finds the console."""

import stat
from pathlib import Path

import pytest

from workers import console_access
from workers.console_access import ConsoleAccess
from workers.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(folder=tmp_path)


class TestFindAccess:
    def test_returns_what_was_written(self, home: Home) -> None:
        access = ConsoleAccess(web_url="http://127.0.0.1:8400", token="mdt_x")
        console_access.write_access(home, access)
        assert console_access.find_access(home) == access
        assert stat.S_IMODE(home.cli.stat().st_mode) == 0o600

    @pytest.mark.parametrize("text", [None, "", "{", '{"url": "x"}'])
    def test_returns_none_for_what_it_cannot_read(self, home: Home, text: str | None) -> None:
        if text is not None:
            home.cli.write_text(text)
        assert console_access.find_access(home) is None


class TestConsoleAccess:
    def test_does_not_print_its_token(self) -> None:
        assert "mdt_x" not in repr(ConsoleAccess(web_url="http://127.0.0.1:8400", token="mdt_x"))
