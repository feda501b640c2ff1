"""Shape of the tree: files stay small, tests stay modules without packages."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("engine", "webapp", "workers")
MAX_SOURCE_LINES = 400
MAX_TEST_LINES = 600


def list_long(folder: str, max_lines: int) -> dict[str, int]:
    """Return the Python files below `folder` with more lines than allowed."""
    lengths = {
        str(path.relative_to(CHECKOUT)): len(path.read_text().splitlines())
        for path in (CHECKOUT / folder).rglob("*.py")
        if "migrations" not in path.parts
    }
    return {name: length for name, length in lengths.items() if length > max_lines}


class TestFiles:
    def test_of_the_source_are_short(self) -> None:
        assert {name: length for part in SOURCES for name, length in list_long(part, MAX_SOURCE_LINES).items()} == {}

    def test_of_tests_are_short(self) -> None:
        assert list_long("tests", MAX_TEST_LINES) == {}

    def test_of_the_source_say_what_they_are_for(self) -> None:
        silent = [
            str(path.relative_to(CHECKOUT))
            for part in SOURCES
            for path in (CHECKOUT / part).rglob("*.py")
            if "migrations" not in path.parts and not path.read_text().startswith(('"""', "#!"))
        ]
        assert silent == []

    def test_of_tests_make_no_packages(self) -> None:
        assert [str(path) for path in (CHECKOUT / "tests").rglob("__init__.py")] == []

    def test_of_migrations_are_packages(self) -> None:
        folders = [path for path in (CHECKOUT / "webapp").rglob("migrations") if path.is_dir()]
        assert [str(path) for path in folders if not (path / "__init__.py").exists()] == []
