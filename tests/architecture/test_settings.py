"""Every environment variable is documented, and nothing else is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
READERS = ("webapp/settings/base.py", "workers/up/options.py", "workers/home.py")
DOCUMENT = CHECKOUT / "webapp" / "settings" / "README.md"
OF_TESTS = {"MEDLEY_DATA"}
# Told by the one who starts it; and a page that shows clients a line of their own code.
OWN_ENVIRONMENT = {"engine/gateway/__main__.py", "webapp/dashboard/deployment_page.py"}


def list_read_variables() -> set[str]:
    """Return the names given to the typed readers."""
    return {name for reader in READERS for name in _list_names(ast.parse((CHECKOUT / reader).read_text()))}


def _list_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("read_"):
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)


class TestSettings:
    def test_are_documented_and_no_others(self) -> None:
        documented = set(re.findall(r"^\| `([A-Z_]+)` \|", DOCUMENT.read_text(), flags=re.MULTILINE))
        assert documented - OF_TESTS == list_read_variables()

    def test_are_read_in_the_settings_only(self) -> None:
        """The engine takes options; the console and the workers take Django's settings."""
        allowed = {CHECKOUT / "webapp" / "settings" / name for name in ("env.py", "test.py")}
        found = {
            str(path.relative_to(CHECKOUT))
            for part in ("engine", "webapp")
            for path in (CHECKOUT / part).rglob("*.py")
            if path not in allowed and re.search(r"os\.(getenv|environ\.get|environ\[)", path.read_text())
        }
        assert found == OWN_ENVIRONMENT
