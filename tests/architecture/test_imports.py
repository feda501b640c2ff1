"""The import contracts of the design, as `lint-imports` checks them."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.mark.slow
class TestImports:
    def test_go_one_way(self) -> None:
        result = subprocess.run([LINT_IMPORTS], check=False, capture_output=True, text=True, cwd=CHECKOUT)
        assert result.returncode == 0, result.stdout
        assert "0 broken" in result.stdout
