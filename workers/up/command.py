"""`medley up` from beginning to end."""

import os
import sys
from functools import partial
from typing import Final

from workers.home import Home, find_home
from workers.up import ports, presence, probe
from workers.up.child import Child, Program, start_child
from workers.up.janitor import Janitor
from workers.up.options import UpOptions, read_options
from workers.up.presence import Presence
from workers.up.programs import Layout, define_django_once, define_programs
from workers.up.secrets_files import prepare_home
from workers.up.serving_programs import define_setup
from workers.up.serving_setup import ServingSetup
from workers.up.stop_request import StopRequest
from workers.up.supervisor import Supervisor, Tools
from workers.up.terminal import Terminal

EXIT_FAILED: Final = 1
_IN_TERMINAL: Final = frozenset({"prepare"})  # its steps are what a person waits for


def run_console() -> int:
    """Prepare, start and keep the console until it is stopped; return the exit code."""
    terminal = Terminal(out=sys.stdout)
    home = find_home()
    lock = presence.claim(home)
    if lock is None:
        _report_running(terminal, presence.find_running(home))
        return 0
    try:
        return _run_claimed(home, read_options(), terminal)
    finally:
        home.up.unlink(missing_ok=True)
        os.close(lock)


def _report_running(terminal: Terminal, running: Presence | None) -> None:
    where = running.web_url if running and running.web_url else "it is still starting"
    pid = f" (process {running.pid})" if running else ""
    terminal.say(f"Medley runs already: {where}{pid}. `medley stop` ends it.")


def _run_claimed(home: Home, options: UpOptions, terminal: Terminal) -> int:
    stop = StopRequest()
    stop.listen()
    terminal.say(f"Medley starts in {home.folder}")
    layout = _define_layout(home, options)
    tools = Tools(start=partial(_start, home))
    supervisor = Supervisor(define_programs(layout), home=home, terminal=terminal, stop=stop, tools=tools)
    code = supervisor.run_once(define_django_once(layout, "prepare", "workers.up.prepare"))
    if code != 0:
        terminal.warn("stopped before the start" if code is None else "the start failed, see above")
        return 0 if code is None else EXIT_FAILED
    presence.announce(home, Presence(pid=os.getpid(), web_url=layout.web_url, gateway_url=layout.gateway_url))
    setup = ServingSetup(
        define_setup(layout, options),
        home=home,
        vllm_python=options.vllm_python,
        start=tools.start,
        say=terminal.report,
        warn=terminal.warn,
    )
    _run_prepared(supervisor, setup, layout=layout, terminal=terminal)
    return 0


def _define_layout(home: Home, options: UpOptions) -> Layout:
    token = prepare_home(home, environment=os.environ)
    web_port = ports.pick_port(
        host=options.host, asked=options.web_port, variable="MEDLEY_WEB_PORT", first=ports.WEB_PORT
    )
    gateway_port = ports.pick_port(
        host=options.host,
        asked=options.gateway_port,
        variable="MEDLEY_GATEWAY_PORT",
        first=ports.GATEWAY_PORT,
        taken=frozenset({web_port}),
    )
    return Layout(home=home, host=options.host, web_port=web_port, gateway_port=gateway_port, gateway_token=token)


def _start(home: Home, program: Program) -> Child:
    return start_child(program, log=None if program.name in _IN_TERMINAL else home.logs / f"{program.name}.log")


def _run_prepared(supervisor: Supervisor, setup: ServingSetup, *, layout: Layout, terminal: Terminal) -> None:
    release = define_django_once(layout, "release", "workers.up.release")
    janitor = Janitor(release, home=layout.home)
    try:
        _run_programs(supervisor, setup, layout=layout, terminal=terminal)
    finally:
        terminal.say()
        if supervisor.shut_down(setup, release=release):
            janitor.dismiss()  # else it does the rest once this process has ended
    terminal.say("Medley is stopped.")


def _run_programs(supervisor: Supervisor, setup: ServingSetup, *, layout: Layout, terminal: Terminal) -> None:
    with terminal.step("Starting the processes", "Processes are started"):
        supervisor.start()
        is_up = supervisor.wait_until(lambda: probe.answers(layout.probe_url))
    if is_up:
        _announce(terminal, layout)
    else:
        terminal.warn(f"the console does not answer, see {layout.home.logs / 'web.log'}")
    supervisor.run(setup)


def _announce(terminal: Terminal, layout: Layout) -> None:
    terminal.say()
    terminal.say(f"  Console  {terminal.strong(layout.web_url)}")
    terminal.say(f"  Gateway  {layout.gateway_url}")
    terminal.say(f"  Logs     {layout.home.logs}")
    terminal.say("  Ctrl-C stops everything.")
    terminal.say()
