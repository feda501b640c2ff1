"""Pinned packages: what a lock file names, and which of it an environment lacks."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.errors import InvalidInputError

_PIN: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?:\s*;\s*platform_machine == '(?P<machine>\w+)')?$"
)
_METADATA: Final = re.compile(r"^(?P<name>.+)-(?P<version>[^-]+)\.dist-info$")


class InvalidLockError(InvalidInputError):
    """A line of the lock is not an exact pin."""

    code = "invalid_lock"


def parse_lock(text: str, *, machine: str) -> dict[str, str]:
    """Return normalised package name -> pinned version; comments and pins for other machines are skipped.

    Raises:
        InvalidLockError: a line is not `name==version`, or PyTorch is not pinned.
    """
    pins: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        match = _PIN.match(content)
        if match is None:
            raise InvalidLockError(f"line {number}: {content!r}", field=f"line {number}", remedy="pin it as name==x.y")
        if match["machine"] in {None, machine}:
            pins[_normalise(match["name"])] = match["version"]
    if "torch" not in pins:
        raise InvalidLockError("PyTorch is not pinned", field="torch", remedy="add torch==x.y")
    return pins


def list_missing(venv: Path, pins: Mapping[str, str]) -> list[str]:
    """Return the pinned names that the environment lacks or holds in another version."""
    installed = {}
    for folder in venv.glob("lib/python3*/site-packages/*.dist-info"):
        if match := _METADATA.match(folder.name):
            installed[_normalise(match["name"])] = match["version"]
    return sorted(name for name, version in pins.items() if installed.get(name) != version)


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
