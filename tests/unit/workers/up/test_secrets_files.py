"""Folders and secrets of an installation."""

import stat
from pathlib import Path

import pytest

from workers.home import Home
from workers.up.secrets_files import prepare_home


@pytest.fixture
def new_home(tmp_path: Path) -> Home:
    return Home(folder=tmp_path / "a" / "home")


class TestPrepareHome:
    def test_makes_secrets_only_their_owner_can_read(self, new_home: Home) -> None:
        token = prepare_home(new_home, environment={})
        assert new_home.gateway_token.read_text() == token
        assert len(token) == 64
        assert new_home.secret_key.read_text() != token
        assert stat.S_IMODE(new_home.folder.stat().st_mode) == 0o700
        for file in (new_home.secret_key, new_home.gateway_token):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_keeps_them_at_the_next_start(self, new_home: Home) -> None:
        first = prepare_home(new_home, environment={})
        key = new_home.secret_key.read_text()
        assert prepare_home(new_home, environment={}) == first
        assert new_home.secret_key.read_text() == key

    def test_writes_no_secret_that_the_environment_gives(self, new_home: Home) -> None:
        given = {"MEDLEY_GATEWAY_TOKEN": "given", "MEDLEY_SECRET_KEY": "given too"}
        assert prepare_home(new_home, environment=given) == "given"
        assert not new_home.gateway_token.exists()
        assert not new_home.secret_key.exists()
