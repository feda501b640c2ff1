"""The processes of an installation on one machine, and what each is told."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from workers.home import Home
from workers.up.child import Program

_PYTHON: Final = (sys.executable, "-m")
_CELERY: Final = (*_PYTHON, "celery", "-A", "workers.celery_app", "--workdir", "/")
# Workers of one console find their work through the broker; gossip among them would only cost.
_WORKER: Final = ("worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat")
_WEB_SHUTDOWN_S: Final = 2  # WebSockets of open pages never end by themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where one start of the console listens and lives.

    Attributes:
        home: folder of the installation.
        host: address that web and gateway listen on.
        web_port: port of the console.
        gateway_port: port of the gateway.
        gateway_token: what the gateway shows the console.
        environment: the supervisor's own environment.
    """

    home: Home
    host: str
    web_port: int
    gateway_port: int
    gateway_token: str = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    @property
    def web_url(self) -> str:
        """Address of the console for people and processes."""
        return self.environment.get("MEDLEY_WEB_URL") or f"http://{_reachable(self.host)}:{self.web_port}"

    @property
    def gateway_url(self) -> str:
        """Address of the gateway for people and processes."""
        return self.environment.get("MEDLEY_GATEWAY_URL") or f"http://{_reachable(self.host)}:{self.gateway_port}"

    @property
    def probe_url(self) -> str:
        """Address at which this machine reaches the console, whatever its public one is."""
        return f"http://{_reachable(self.host)}:{self.web_port}"


def _reachable(host: str) -> str:
    """Return an address that clients can use for one that servers listen on."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104  # compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def define_environment(layout: Layout) -> dict[str, str]:
    """Return what every Python process of the console is told."""
    return {
        "DJANGO_SETTINGS_MODULE": "webapp.settings.base",
        **layout.environment,
        "MEDLEY_HOME": str(layout.home.folder),
        "MEDLEY_WEB_URL": layout.web_url,
        "MEDLEY_GATEWAY_URL": layout.gateway_url,
        "PYTHONUNBUFFERED": "1",
    }


def define_programs(layout: Layout) -> tuple[Program, ...]:
    """Return the processes that are kept running, in the order in which they are started."""
    environment = define_environment(layout)
    commands = {
        "web": _define_web(layout),
        "gateway": _define_gateway(layout),
        "worker": (*_CELERY, *_WORKER, "-Q", "market,operate", "-n", "worker@%h", "-c", "2"),
        "solver": (*_CELERY, *_WORKER, "-Q", "solve", "-n", "solver@%h", "-c", "1"),
        "beat": (*_CELERY, "beat", "--loglevel", "INFO", "--pidfile=", "-s", str(layout.home.beat_schedule)),
        "collector": (*_PYTHON, "workers.collector"),
        "traffic": (*_PYTHON, "workers.traffic"),
    }
    secret = {"gateway": {"MEDLEY_GATEWAY_TOKEN": layout.gateway_token}}
    return tuple(
        Program(name=name, command=command, environment=environment | secret.get(name, {}))
        for name, command in commands.items()
    )


def _define_web(layout: Layout) -> tuple[str, ...]:
    server = (*_PYTHON, "uvicorn", "webapp.asgi:application", "--host", layout.host, "--port", str(layout.web_port))
    return (*server, "--no-access-log", "--timeout-graceful-shutdown", str(_WEB_SHUTDOWN_S))


def _define_gateway(layout: Layout) -> tuple[str, ...]:
    listening = ("--host", layout.host, "--port", str(layout.gateway_port))
    state = ("--state-dir", str(layout.home.gateway_state))
    return (*_PYTHON, "engine.gateway", "--console-url", layout.probe_url, *listening, *state)


def define_once(layout: Layout, name: str, *arguments: str) -> Program:
    """Return a program of the console that runs to its end."""
    return Program(name=name, command=(*_PYTHON, *arguments), environment=define_environment(layout))


def define_django_once(layout: Layout, name: str, module: str) -> Program:
    """Return a program that runs the `main` of a module that uses models."""
    return define_once(layout, name, "workers.with_django", module)
