"""Folders and secrets of an installation: made once, open to their owner only."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.serving import files
from workers.home import Home

_NUM_BYTES: Final = 48


def prepare_home(home: Home, *, environment: Mapping[str, str]) -> str:
    """Make what is missing and return the gateway's token."""
    home.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (home.logs, home.beat_schedule.parent, home.gateway_state):
        folder.mkdir(mode=0o700, exist_ok=True)
    _ensure_secret("MEDLEY_SECRET_KEY", home.secret_key, environment)
    return _ensure_secret("MEDLEY_GATEWAY_TOKEN", home.gateway_token, environment)


def _ensure_secret(variable: str, file: Path, environment: Mapping[str, str]) -> str:
    """Return the secret that the environment gives, else the file's; a missing file gets a random one."""
    if given := environment.get(variable):
        return given
    if not file.is_file():
        files.write_private(file, secrets.token_urlsafe(_NUM_BYTES))
    return file.read_text().strip()
