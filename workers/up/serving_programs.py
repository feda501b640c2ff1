"""The programs that make this host serve: the installer, the maker of the demo model, the demo."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Final

from workers.home import CHECKOUT
from workers.up.child import Program
from workers.up.options import UpOptions
from workers.up.programs import Layout, define_django_once, define_environment, define_once
from workers.up.serving_setup import SetupPrograms

LOCK: Final = CHECKOUT / "infra" / "locks" / "serving-cpu.txt"


def define_setup(layout: Layout, options: UpOptions) -> SetupPrograms:
    """Return the programs of the set-up for this host."""
    return SetupPrograms(
        install=_define_install(layout, options) if options.installs_vllm else None,
        model=_define_model(layout, options.vllm_python),
        demo=define_django_once(layout, "demo", "workers.demo") if options.has_demo else None,
    )


def _define_install(layout: Layout, options: UpOptions) -> Program:
    """Return the installer; it is ended by SIGTERM, upon which it ends the step that runs below it."""
    arguments = {
        "--venv": options.vllm_python.parent.parent,
        "--lock": LOCK,
        "--status": layout.home.vllm_install,
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    return replace(define_once(layout, "install", "engine.serving.install", *words), death_signal=signal.SIGTERM)


def _define_model(layout: Layout, vllm_python: Path) -> Program:
    environment = define_environment(layout) | {"PYTHONPATH": str(CHECKOUT)}
    command = (str(vllm_python), "-P", "-m", "engine.serving.demo_model", str(layout.home.demo_model))
    return Program(name="demo-model", command=command, environment=environment)
