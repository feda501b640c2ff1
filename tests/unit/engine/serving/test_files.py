"""Files that survive a kill."""

import os
from pathlib import Path

import pytest

from engine.serving import files
from engine.serving.files import UnsafeFolderError


class TestWritePrivate:
    def test_replaces_and_closes_to_others(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        files.write_private(path, "one")
        files.write_private(path, "two")
        assert path.read_text() == "two"
        assert path.stat().st_mode & 0o777 == 0o600
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


class TestTryLock:
    def test_is_exclusive_until_closed(self, tmp_path: Path) -> None:
        first = files.try_lock(tmp_path / "sub" / "lock")
        assert first is not None
        assert files.try_lock(tmp_path / "sub" / "lock") is None
        os.close(first)
        second = files.try_lock(tmp_path / "sub" / "lock")
        assert second is not None
        os.close(second)


class TestRunDir:
    def test_is_short_and_follows_from_its_owner(self, tmp_path: Path) -> None:
        path = files.find_run_dir(tmp_path / "a")
        assert path == files.find_run_dir(tmp_path / "a")
        assert path != files.find_run_dir(tmp_path / "b")
        assert len(str(path)) + len("/12345678/") + 36 <= 107

    def test_is_private(self, tmp_path: Path) -> None:
        path = files.make_run_dir(tmp_path / "run")
        assert path.stat().st_mode & 0o777 == 0o700
        assert files.make_run_dir(path) == path

    def test_refuses_a_folder_open_to_others(self, tmp_path: Path) -> None:
        path = tmp_path / "run"
        path.mkdir()
        path.chmod(0o755)
        with pytest.raises(UnsafeFolderError):
            files.make_run_dir(path)

    def test_refuses_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "target").mkdir(mode=0o700)
        (tmp_path / "run").symlink_to(tmp_path / "target")
        with pytest.raises(UnsafeFolderError):
            files.make_run_dir(tmp_path / "run")


class TestReadTail:
    def test_gives_the_latest_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_text("".join(f"line {number}\n" for number in range(10)))
        assert files.read_tail(path, lines=2) == ["line 8", "line 9"]
        assert files.read_tail(path, lines=0) == []
        assert files.read_tail(tmp_path / "none", lines=5) == []

    def test_reads_only_the_end_of_a_large_file(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_text("x" * 100 + "\nlast\n")
        assert files.read_tail(path, lines=9, max_bytes=10) == ["xxxx", "last"]
