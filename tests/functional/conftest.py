"""Whole installations with real vLLM, and a browser to look at them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from engine.serving.vllm_finder import find_vllm
from tests.support.installation import CHECKOUT, Installation
from tests.support.services import find_postgres_bin, find_redis, run_postgres, run_redis

VLLM_PYTHON = Path(os.environ.get("MEDLEY_VLLM_PYTHON", CHECKOUT / ".venv-vllm" / "bin" / "python"))
# A slot dear enough that no policy lets a plan of two approve itself.
DEAR_SLOTS = {"MEDLEY_LOCAL_USD_PER_SLOT_HOUR": "0.6", "MEDLEY_DEMO": "0"}


@pytest.fixture(scope="session")
def _vllm() -> None:
    found = find_vllm(VLLM_PYTHON)
    if not found.is_available:
        pytest.skip(f"real vLLM is not installed: {found.reason}")


@pytest.fixture(params=["embedded", pytest.param("services", marks=[pytest.mark.postgres, pytest.mark.redis])])
def installation(request: pytest.FixtureRequest, _vllm: None, tmp_path: Path) -> Iterator[Installation]:
    """A new installation, embedded or on PostgreSQL and Redis; killed if the test leaves it running."""
    with ExitStack() as stack:
        extra = dict(DEAR_SLOTS)
        if request.param == "services":
            if find_postgres_bin() is None or find_redis() is None:
                pytest.skip("PostgreSQL or Redis is not installed")
            extra |= {
                "DATABASE_URL": stack.enter_context(run_postgres()),
                "MEDLEY_BROKER_URL": stack.enter_context(run_redis()),
            }
        installation = Installation(folder=tmp_path / "home", extra=extra)
        stack.callback(installation.kill)
        yield installation


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of the system's Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser.new_page()
        browser.close()
