"""Logs that do not grow for ever."""

from pathlib import Path

import pytest

from workers.up.logs import rotate


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "web.log"
    log.write_text("0123456789")
    return log


class TestRotate:
    def test_leaves_a_short_log(self, log: Path) -> None:
        assert not rotate(log, max_bytes=10)
        assert log.read_text() == "0123456789"

    def test_moves_a_long_one_aside(self, log: Path) -> None:
        assert rotate(log, max_bytes=9)
        assert log.with_name("web.log.1").read_text() == "0123456789"

    def test_lets_its_writer_go_on(self, log: Path) -> None:
        with log.open("ab", buffering=0) as writer:
            rotate(log, max_bytes=9)
            writer.write(b"next")
        assert log.read_text() == "next"

    def test_has_nothing_to_do_without_a_log(self, tmp_path: Path) -> None:
        assert not rotate(tmp_path / "none.log")
