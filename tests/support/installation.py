"""A real installation of Medley: `medley up` in a process of its own, with its own home, ports, database and broker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from engine.serving import demo_model, processes
from tests.support.services import pick_port

CHECKOUT: Final = Path(__file__).resolve().parents[2]
MEDLEY: Final = Path(sys.executable).with_name("medley")
PASSWORD: Final = "correct-horse-battery"
TIMEOUT_S: Final = 240.0  # for what takes seconds on a quiet machine
_POLL_S: Final = 0.2
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "MEDLEY_VLLM_PYTHON", "OPENBLAS_CORETYPE")


def wait_for(condition: Callable[[], Any], *, what: str, timeout_s: float = TIMEOUT_S) -> Any:
    """Ask until the condition gives something true, and return that."""
    deadline_s = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline_s, f"after {timeout_s:.0f} s: not {what}"
        time.sleep(_POLL_S)
    return answer


@dataclass(kw_only=True)
class Installation:
    """One installation; start it, use it, stop it.

    Attributes:
        folder: becomes `MEDLEY_HOME`.
        extra: further environment variables.
    """

    folder: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    web_port: int = field(default_factory=pick_port)
    gateway_port: int = field(default_factory=pick_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment of every command of this installation."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            **kept,
            "MEDLEY_HOME": str(self.folder),
            "MEDLEY_WEB_PORT": str(self.web_port),
            "MEDLEY_GATEWAY_PORT": str(self.gateway_port),
            **self.extra,
        }

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def output(self) -> Path:
        """What `medley up` printed."""
        return self.folder.with_name(f"{self.folder.name}.out")

    def start(self) -> None:
        """Run `medley up` and wait until the console answers."""
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [MEDLEY, "up"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment
            )
        wait_for(self._is_up, what=f"up: {self.output.read_text()}")

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.output.read_text()
        return f"Console  {self.web_url}" in self.output.read_text()

    def wait_serving(self) -> None:
        """Wait until vLLM and the demo model are there."""
        wait_for(lambda: demo_model.is_complete(self.folder / "models" / "demo"), what="a demo model")

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Run a `medley` command and return what it printed."""
        result = subprocess.run(
            [MEDLEY, *arguments], check=False, input=stdin, capture_output=True, text=True, env=self.environment
        )
        assert result.returncode == code, result.stderr
        return result.stdout

    def run_badly(self, *arguments: str) -> str:
        """Run a `medley` command that fails and return what it printed."""
        result = subprocess.run(
            [MEDLEY, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )
        assert result.returncode == 1, result.stdout
        return result.stdout

    def make_person(self, username: str, role: str) -> "Person":
        """Make somebody who can sign in, with a token."""
        self.run("users", "create", username, "--role", role, "--password-stdin", stdin=f"{PASSWORD}\n")
        token = json.loads(self.run("tokens", "create", "--user", username, "--json"))["token"]
        return Person(username=username, web_url=self.web_url, token=token)

    def find_program(self, *words: str) -> int:
        """Return the process of this installation whose command line holds all words: its oldest."""
        return min(pid for pid in self.list_processes() if all(word in read_command(pid) for word in words))

    def list_processes(self) -> list[int]:
        """Return living processes that carry this home in their environment or command line."""
        needle = str(self.folder).encode()
        own = {os.getpid()}
        return [pid for pid in list_pids() if pid not in own and needle in read_marks(pid)]

    def stop(self) -> None:
        """End it as Ctrl-C does, and wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            assert self._process.wait(TIMEOUT_S) == 0, self.output.read_text()

    def kill(self) -> None:
        """End what a failed test left; nothing waits for anything."""
        for pid in self.list_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self._process is not None:
            self._process.wait(TIMEOUT_S)


def list_pids() -> list[int]:
    """Return all living processes."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if processes.find_process(pid) is not None]


def read_marks(pid: int) -> bytes:
    """Return environment and command line of a process, empty when it has just gone or is not ours."""
    folder = Path("/proc") / str(pid)
    try:
        return (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def read_command(pid: int) -> str:
    """Return the command line of a process, empty when it has just gone."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with a token; asks REST."""

    username: str
    web_url: str
    token: str

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, status: int = 200) -> Any:
        """Return the JSON of an answer with the expected status."""
        response = httpx.request(
            method,
            f"{self.web_url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30.0,
            trust_env=False,
        )
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def get_deployment(self, name: str) -> dict[str, Any]:
        """Return one deployment; empty while there is none."""
        names = [item["name"] for item in self.ask("GET", "/deployments")]
        found: dict[str, Any] = self.ask("GET", f"/deployments/{name}") if name in names else {}
        return found

    def wait_state(self, name: str, state: str) -> dict[str, Any]:
        """Wait until a deployment has a state."""
        wait_for(lambda: self.get_deployment(name).get("state") == state, what=f"{name} {state}")
        return self.get_deployment(name)

    def wait_plan(self, pk: int, states: Sequence[str]) -> dict[str, Any]:
        """Wait until a plan request is in one of the states."""
        path = f"/plan-requests/{pk}"
        wait_for(lambda: self.ask("GET", path)["state"] in states, what=f"plan request {pk} in {states}")
        found: dict[str, Any] = self.ask("GET", path)
        return found
