"""Typed readers of environment variables that fail loudly and name the variable."""

import os
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def read_str(name: str, default: str) -> str:
    """Return the variable's text, or `default` when it is not set."""
    return os.environ.get(name, default)


def read_path(name: str, default: Path) -> Path:
    """Return the variable as an absolute path; links stay, because an environment's `python` is one."""
    return Path(os.environ.get(name, str(default))).expanduser().absolute()


def read_bool(name: str, *, default: bool) -> bool:
    """Return the variable as a boolean: `1`, `true`, `0` or `false`."""
    text = os.environ.get(name)
    if text is None:
        return default
    if text.lower() in {"1", "true"}:
        return True
    if text.lower() in {"0", "false"}:
        return False
    raise ImproperlyConfigured(f"{name}={text!r} is not a boolean: use 1, true, 0 or false")


def read_positive_float(name: str, default: float) -> float:
    """Return the variable as a number above zero."""
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={text!r} is not a number") from error
    if not 0.0 < value < float("inf"):
        raise ImproperlyConfigured(f"{name}={text!r} must be above 0")
    return value


def read_port(name: str) -> int | None:
    """Return the variable as a TCP port, or None when it is not set."""
    text = os.environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ImproperlyConfigured(f"{name}={text!r} is not a port: use a number from 1 to 65535")
    return int(text)


def read_list(name: str, default: list[str]) -> list[str]:
    """Return the variable split at commas, without empty parts."""
    text = os.environ.get(name)
    return default if text is None else [part.strip() for part in text.split(",") if part.strip()]


def read_secret(name: str, *, file: Path) -> str:
    """Return a secret from the variable or from `file`; there is no default.

    `medley up` creates the file with a random value on first start.
    """
    text = os.environ.get(name)
    if text:
        return text
    if file.is_file() and (kept := file.read_text().strip()):
        return kept
    raise ImproperlyConfigured(f"{name} is not set and {file} holds no secret: set it, or start with `medley up`")


def read_database(name: str, *, sqlite_file: Path) -> dict[str, object]:
    """Return Django's database dictionary for a `postgresql://` URL, or for SQLite when it is not set."""
    url = os.environ.get(name, "")
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(sqlite_file),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/") or not _has_valid_port(parts):
        raise ImproperlyConfigured(f"{name} must look like postgresql://user:password@host:5432/database")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "OPTIONS": dict(parse_qsl(parts.query)),  # what libpq understands, e.g. sslmode=require
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def _has_valid_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False
