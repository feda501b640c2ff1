"""Make an installation ready to start, shown step by step; run by `medley up` before anything else.

A process of its own, so that the supervisor stays small: Django is in memory only where it is used.
"""

import sys
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from workers.home import find_home
from workers.up import static_files, steps
from workers.up.terminal import Terminal


def prepare(terminal: Terminal) -> None:
    """Run all steps and show them."""
    home, now = find_home(), timezone.now()
    with terminal.step("Bringing the database up to date", "Database is up to date"):
        steps.migrate()
    with terminal.step("Collecting static files", "Static files are collected"):
        static_files.collect_static(root=Path(settings.STATIC_ROOT), stamp=home.static_stamp)
    with terminal.step("Loading the market", "Market is loaded"):
        steps.load_market(now=now)
    with terminal.step("Making presets and the default policy", "Presets and the default policy are there"):
        steps.ensure_presets(now=now)
        password = steps.ensure_admin(now=now)
        steps.ensure_cli_access(home=home, web_url=settings.MEDLEY_WEB_URL, now=now)
    if password is not None:
        _show_password(terminal, steps.ADMIN_NAME, password)


def _show_password(terminal: Terminal, name: str, password: str) -> None:
    terminal.say()
    terminal.say(f"  First sign-in: user {terminal.strong(name)}, password {terminal.strong(password)}")
    terminal.say("  It is shown this once; `medley users set-password` changes it.")
    terminal.say()


def main() -> int:
    """Prepare this installation."""
    prepare(Terminal(out=sys.stdout))
    return 0
