"""Typed readers of the environment."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from webapp.settings import env

NAME = "MEDLEY_TEST_VALUE"


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without the variable."""
    monkeypatch.delenv(NAME, raising=False)


class TestReadBool:
    @pytest.mark.parametrize(("text", "value"), [("1", True), ("TRUE", True), ("0", False), ("false", False)])
    def test_reads(self, text: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(NAME, text)
        assert env.read_bool(NAME, default=not value) is value

    @pytest.mark.parametrize("text", ["", "yes", "2"])
    def test_names_what_it_cannot_read(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(NAME, text)
        with pytest.raises(ImproperlyConfigured, match=f"{NAME}={text!r} is not a boolean"):
            env.read_bool(NAME, default=True)

    def test_falls_back(self, unset: None) -> None:
        assert env.read_bool(NAME, default=True) is True


class TestReadPositiveFloat:
    def test_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(NAME, "0.05")
        assert env.read_positive_float(NAME, 1.0) == 0.05

    @pytest.mark.parametrize("text", ["", "cheap", "0", "-1", "inf", "nan"])
    def test_names_what_it_cannot_read(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(NAME, text)
        with pytest.raises(ImproperlyConfigured, match=NAME):
            env.read_positive_float(NAME, 1.0)

    def test_falls_back(self, unset: None) -> None:
        assert env.read_positive_float(NAME, 0.02) == 0.02


class TestReadPort:
    def test_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(NAME, "65535")
        assert env.read_port(NAME) == 65535

    @pytest.mark.parametrize("text", ["0", "65536", "http", "8400 ", "-1", "²"])
    def test_names_what_it_cannot_read(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(NAME, text)
        with pytest.raises(ImproperlyConfigured, match="is not a port"):
            env.read_port(NAME)

    def test_is_open_when_not_set(self, unset: None, monkeypatch: pytest.MonkeyPatch) -> None:
        assert env.read_port(NAME) is None
        monkeypatch.setenv(NAME, "")
        assert env.read_port(NAME) is None


class TestReadList:
    def test_splits_at_commas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(NAME, " a.example, b.example,, ")
        assert env.read_list(NAME, []) == ["a.example", "b.example"]

    def test_tells_empty_from_not_set(self, unset: None, monkeypatch: pytest.MonkeyPatch) -> None:
        assert env.read_list(NAME, ["localhost"]) == ["localhost"]
        monkeypatch.setenv(NAME, "")
        assert env.read_list(NAME, ["localhost"]) == []


class TestReadPath:
    def test_is_absolute(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(NAME, "data")
        assert env.read_path(NAME, Path("/unused")) == tmp_path / "data"

    def test_falls_back(self, unset: None, tmp_path: Path) -> None:
        assert env.read_path(NAME, tmp_path) == tmp_path


class TestReadStr:
    def test_reads_or_falls_back(self, unset: None, monkeypatch: pytest.MonkeyPatch) -> None:
        assert env.read_str(NAME, "filesystem://") == "filesystem://"
        monkeypatch.setenv(NAME, "redis://host")
        assert env.read_str(NAME, "filesystem://") == "redis://host"


class TestReadSecret:
    def test_prefers_the_variable(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("from the file\n")
        monkeypatch.setenv(NAME, "from the variable")
        assert env.read_secret(NAME, file=tmp_path / "key") == "from the variable"

    def test_reads_the_file(self, unset: None, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("from the file\n")
        assert env.read_secret(NAME, file=tmp_path / "key") == "from the file"

    @pytest.mark.parametrize("content", [None, "", "\n"])
    def test_has_no_default(self, content: str | None, unset: None, tmp_path: Path) -> None:
        if content is not None:
            (tmp_path / "key").write_text(content)
        with pytest.raises(ImproperlyConfigured, match=f"{NAME} is not set and .* holds no secret"):
            env.read_secret(NAME, file=tmp_path / "key")


class TestReadDatabase:
    def test_is_sqlite_when_not_set(self, unset: None, tmp_path: Path) -> None:
        found = env.read_database(NAME, sqlite_file=tmp_path / "db.sqlite3")
        assert found["ENGINE"] == "django.db.backends.sqlite3"
        assert found["NAME"] == str(tmp_path / "db.sqlite3")
        assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"

    def test_reads_an_address(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv(NAME, "postgresql://me%40here:p%2Fw@db.example:6543/medley?sslmode=require")
        found = env.read_database(NAME, sqlite_file=tmp_path)
        assert found["ENGINE"] == "django.db.backends.postgresql"
        assert (found["USER"], found["PASSWORD"]) == ("me@here", "p/w")
        assert (found["HOST"], found["PORT"], found["NAME"]) == ("db.example", "6543", "medley")
        assert found["OPTIONS"] == {"sslmode": "require"}

    def test_reads_a_socket(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv(NAME, "postgres:///medley?host=/run/postgresql")
        found = env.read_database(NAME, sqlite_file=tmp_path)
        assert (found["HOST"], found["PORT"], found["OPTIONS"]) == ("", "", {"host": "/run/postgresql"})

    @pytest.mark.parametrize(
        "url",
        [
            "mysql://h/db",
            "postgresql://h",
            "postgresql://h/",
            "medley",
            "postgresql://h:port/db",
            "postgresql://h:99999/db",
        ],
    )
    def test_names_what_it_cannot_read(self, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv(NAME, url)
        with pytest.raises(ImproperlyConfigured, match=f"{NAME} must look like postgresql://"):
            env.read_database(NAME, sqlite_file=tmp_path)
