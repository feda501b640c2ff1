"""Take the README's screenshots from a running console: `python -m tests.support.screenshots --help`."""

import argparse
import shutil
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

_SIZE: Final = {"width": 1440, "height": 900}
_SETTLE_MS: Final = 3000  # for charts and live values
_ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Write one PNG per page and colour scheme."""
    parser = argparse.ArgumentParser(description="Take screenshots of a running console")
    parser.add_argument("--url", default="http://127.0.0.1:8400")
    parser.add_argument("--username", default="admin")
    parser.add_argument("--password", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("pages", nargs="+", help="name=path:scheme, e.g. market=/market/:light")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
        for page in arguments.pages:
            name, _, rest = page.partition("=")
            path, _, scheme = rest.rpartition(":")
            _take(browser, arguments, path=path, scheme=scheme, file=arguments.out / f"{name}.png")
        browser.close()


def _take(browser: Browser, arguments: argparse.Namespace, *, path: str, scheme: str, file: Path) -> None:
    context = browser.new_context(viewport=_SIZE, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{arguments.url}/login/?next={path}")
    page.fill("input[name=username]", arguments.username)
    page.fill("input[name=password]", arguments.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(f"{arguments.url}{path}")
    page.wait_for_timeout(_SETTLE_MS)
    page.screenshot(path=file)
    context.close()


if __name__ == "__main__":
    main()
