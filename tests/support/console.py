"""A console of its own for browser tests: uvicorn over a new folder, changed from outside as workers change it.

The tests' process never touches the database: a browser driven from Python keeps an event loop running, beside which
Django refuses to work.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from engine.serving.ports import pick_port

CHECKOUT = Path(__file__).resolve().parents[2]
PASSWORD = "a-long-password"
_START_S = 60.0


@dataclass(kw_only=True)
class Console:
    """A running console; `url` has no slash at its end.

    Attributes:
        web: its web process; worker: the process that makes changes.
    """

    home: Path
    url: str
    web: subprocess.Popen[bytes]
    worker: subprocess.Popen[str]

    def change(self, change: str, /, **given: object) -> Any:
        """Call a function of `tests.support.console_data` in a process beside the console; return what it answers."""
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        self.worker.stdin.write(json.dumps({"change": change, "given": given}) + "\n")
        self.worker.stdin.flush()
        answer = self.worker.stdout.readline()
        assert answer, (self.home / "worker.log").read_text()
        return json.loads(answer)

    def stop(self) -> None:
        """End both processes."""
        for process in (self.worker, self.web):
            process.terminate()
            process.wait(timeout=20)


def define_environment(home: Path) -> dict[str, str]:
    """Return the environment of processes that belong to a console."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDLEY_", "DATABASE_URL"))}
    return {
        **kept,
        "MEDLEY_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "webapp.settings.base",
        "PYTHONPATH": str(CHECKOUT),
    }


def prepare(home: Path) -> None:
    """Make secrets, database and static files."""
    home.mkdir(parents=True, exist_ok=True)
    for name in ("secret-key", "gateway-token"):
        (home / name).write_text(secrets.token_hex())
    for command in (["migrate"], ["collectstatic", "--noinput"]):
        arguments = [sys.executable, "manage.py", *command, "--verbosity", "0"]
        subprocess.run(arguments, cwd=CHECKOUT, env=define_environment(home), check=True)


def start(home: Path) -> Console:
    """Start both processes and wait until the pages answer."""
    port = pick_port(preferred=None)
    command = [sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
    given: dict[str, Any] = {"cwd": CHECKOUT, "env": define_environment(home)}
    with (home / "web.log").open("wb") as log:
        web = subprocess.Popen(command, stdout=log, stderr=log, **given)
    with (home / "worker.log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.support.console_data"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            **given,
        )
    console = Console(home=home, url=f"http://127.0.0.1:{port}", web=web, worker=worker)
    _wait(console)
    return console


def _wait(console: Console) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        assert console.web.poll() is None, (console.home / "web.log").read_text()
        try:
            httpx.get(f"{console.url}/login/", timeout=5.0).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError((console.home / "web.log").read_text())
