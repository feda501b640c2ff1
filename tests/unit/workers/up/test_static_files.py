"""Collecting static files only when needed."""

from pathlib import Path

import pytest

from workers.up import static_files
from workers.up.static_files import collect_static, compute_digest


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "page.css"
    source.write_text("a {}")
    return source


@pytest.fixture
def collected(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the commands that were run."""
    commands: list[str] = []

    def run(name: str, **_options: object) -> None:
        commands.append(name)
        (tmp_path / "static").mkdir(exist_ok=True)

    monkeypatch.setattr(static_files, "call_command", run)
    monkeypatch.setattr(static_files, "_list_sources", lambda: [source])
    return commands


class TestCollectStatic:
    def test_collects_once(self, tmp_path: Path, collected: list[str]) -> None:
        root, stamp = tmp_path / "static", tmp_path / "stamp"
        assert collect_static(root=root, stamp=stamp)
        assert not collect_static(root=root, stamp=stamp)
        assert collected == ["collectstatic"]

    def test_collects_again_when_a_file_was_written(self, tmp_path: Path, source: Path, collected: list[str]) -> None:
        root, stamp = tmp_path / "static", tmp_path / "stamp"
        collect_static(root=root, stamp=stamp)
        source.write_text("a { color: red }")
        assert collect_static(root=root, stamp=stamp)
        assert collected == ["collectstatic", "collectstatic"]

    def test_collects_again_when_the_folder_is_gone(self, tmp_path: Path, collected: list[str]) -> None:
        root, stamp = tmp_path / "static", tmp_path / "stamp"
        collect_static(root=root, stamp=stamp)
        root.rmdir()
        assert collect_static(root=root, stamp=stamp)


class TestComputeDigest:
    def test_does_not_depend_on_order(self, tmp_path: Path, source: Path) -> None:
        other = tmp_path / "other.css"
        other.touch()
        assert compute_digest([source, other]) == compute_digest([other, source])
        assert compute_digest([source]) != compute_digest([source, other])
