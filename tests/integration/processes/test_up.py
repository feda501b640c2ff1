"""`medley up` without local serving: starts, says what is wrong, leaves nothing behind."""

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.installation import Installation, wait_for

pytestmark = pytest.mark.slow

# A console-only host: nothing is installed, and there is nothing to find.
CONSOLE_ONLY = {"MEDLEY_INSTALL_VLLM": "0", "MEDLEY_DEMO": "0", "MEDLEY_VLLM_PYTHON": "/nowhere/bin/python"}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A console-only installation; tests run in order and find it as the one before left it."""
    installation = Installation(folder=tmp_path_factory.mktemp("up") / "home", extra=CONSOLE_ONLY)
    yield installation
    installation.kill()


class TestUp:
    def test_makes_an_installation_that_only_its_owner_can_read(self, console: Installation) -> None:
        console.start()
        assert stat.S_IMODE(console.folder.stat().st_mode) == 0o700
        for name in ("secret-key", "gateway-token", "cli.json", "up.json"):
            assert stat.S_IMODE((console.folder / name).stat().st_mode) == 0o600

    def test_prints_a_first_password_once(self, console: Installation) -> None:
        assert console.output.read_text().count("First sign-in: user admin, password ") == 1

    def test_says_why_this_host_does_not_serve(self, console: Installation) -> None:
        reason = "installing is switched off by MEDLEY_INSTALL_VLLM"
        wait_for(lambda: reason in console.output.read_text(), what="a reason in the terminal")
        assert reason in (console.folder / "vllm-install.json").read_text()

    def test_has_a_console_and_a_gateway_that_answer(self, console: Installation) -> None:
        assert httpx.get(f"{console.web_url}/login/", follow_redirects=True, trust_env=False).status_code == 200
        wait_for(lambda: httpx.get(f"{console.gateway_url}/healthz", trust_env=False).is_success, what="a gateway")
        assert console.run("status") == f"Console {console.web_url}\nNo deployments.\n"

    def test_runs_once_for_each_installation(self, console: Installation) -> None:
        assert console.run("up").startswith(f"Medley runs already: {console.web_url} (process ")

    def test_leaves_no_process_when_it_is_killed(self, console: Installation) -> None:
        os.kill(console.pid, signal.SIGKILL)
        wait_for(lambda: console.list_processes() == [], what="an end of all processes")
        console.run("status", code=3)
        assert (console.folder / "logs" / "release.log").read_text() == ""

    def test_starts_again_with_what_it_had(self, console: Installation) -> None:
        token = (console.folder / "cli.json").read_text()
        console.start()
        assert (console.folder / "cli.json").read_text() == token
        assert "First sign-in" not in console.output.read_text()

    def test_leaves_no_process_when_it_is_stopped(self, console: Installation) -> None:
        console.stop()
        assert console.list_processes() == []
        assert console.output.read_text().endswith("Medley is stopped.\n")
        assert console.run("stop") == "Medley does not run.\n"


class TestUpThatCannotStart:
    def test_names_the_port_in_use(self, tmp_path: Path) -> None:
        installation = Installation(folder=tmp_path / "home", extra=CONSOLE_ONLY)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", installation.web_port))
            listener.listen()
            output = installation.run_badly("up")
        assert f"port {installation.web_port} on 127.0.0.1 is in use; free it, or give another port" in output

    def test_says_that_the_database_does_not_answer(self, tmp_path: Path) -> None:
        url = "postgresql://medley@127.0.0.1:1/medley"
        installation = Installation(folder=tmp_path / "home", extra=CONSOLE_ONLY | {"DATABASE_URL": url})
        output = installation.run_badly("up")
        assert "the database cannot be used" in output
        assert "check DATABASE_URL" in output
        assert "Traceback" not in output
        assert installation.list_processes() == []

    def test_refuses_a_setting_that_makes_no_sense(self, tmp_path: Path) -> None:
        installation = Installation(folder=tmp_path / "home", extra=CONSOLE_ONLY | {"MEDLEY_DEMO": "perhaps"})
        assert (
            installation.run_badly("up") == "medley: MEDLEY_DEMO='perhaps' is not a boolean: use 1, true, 0 or false\n"
        )
