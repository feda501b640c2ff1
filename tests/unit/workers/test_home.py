"""The folder of an installation."""

from pathlib import Path

import pytest
from django.conf import settings

from workers.home import CHECKOUT, find_home


class TestFindHome:
    def test_is_in_the_checkout_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MEDLEY_HOME", raising=False)
        assert find_home().folder == CHECKOUT / ".medley"

    def test_is_where_the_environment_says(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("MEDLEY_HOME", str(tmp_path / "home"))
        assert find_home().folder == tmp_path / "home"

    def test_agrees_with_the_settings_of_the_console(self) -> None:
        home = find_home()
        assert home.folder == settings.MEDLEY_HOME
        assert home.demo_model == settings.MEDLEY_HOME / "models" / "demo"
