"""Throw-away PostgreSQL and Redis servers on the loopback address, for tests and for `make test-postgres`."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import psycopg
import redis

_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.05
_SERVICE_USERS: Final = ("postgres", "nobody")  # initdb refuses to run as root
_FAST: Final = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")


class ServiceError(Exception):
    """A server did not start; the text holds what it printed."""


def find_postgres_bin() -> Path | None:
    """Return the folder with `initdb`, the newest version first."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_read_version, reverse=True)
    found = [folder for folder in folders if (folder / "initdb").exists()]
    if found:
        return found[0]
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _read_version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0


def find_redis() -> str | None:
    """Return the Redis server's program."""
    return shutil.which("redis-server")


def pick_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def run_postgres() -> Iterator[str]:
    """Yield the URL of an empty database in a new cluster, which is gone afterwards."""
    binaries = find_postgres_bin()
    if binaries is None:
        raise ServiceError("PostgreSQL is not installed: there is no initdb")
    user = _find_service_user()
    with _make_folder("medley-postgres-", user) as folder:
        data, port = folder / "data", pick_port()
        _run([binaries / "initdb", "-D", data, "-U", "medley", "-A", "trust", "-E", "UTF8", "--no-sync"], user)
        command = [binaries / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", folder, *_FAST]
        url = f"postgresql://medley@127.0.0.1:{port}"
        with _run_server(command, user=user, log=folder / "log", answers=lambda: _answers_sql(f"{url}/postgres")):
            with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE medley")
            yield f"{url}/medley"


@contextlib.contextmanager
def run_redis() -> Iterator[str]:
    """Yield the URL of an empty Redis, which is gone afterwards."""
    program = find_redis()
    if program is None:
        raise ServiceError("Redis is not installed: there is no redis-server")
    with _make_folder("medley-redis-", None) as folder:
        port = pick_port()
        options = ["--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]
        url = f"redis://127.0.0.1:{port}/0"
        with _run_server([program, *options], user=None, log=folder / "log", answers=lambda: _answers_ping(url)):
            yield url


@contextlib.contextmanager
def _make_folder(prefix: str, user: str | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))  # other folders may be closed to the service's user
    try:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find_service_user() -> str | None:
    """Return as whom a server must run: another user when we are root, else ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _SERVICE_USERS if name in known)


def _run(command: Sequence[object], user: str | None) -> None:
    result = subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, cwd="/", **_become(user)
    )
    if result.returncode != 0:
        raise ServiceError(f"{command[0]}: {result.stderr or result.stdout}")


def _become(user: str | None) -> dict[str, object]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


@contextlib.contextmanager
def _run_server(
    command: Sequence[object], *, user: str | None, log: Path, answers: Callable[[], bool]
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, cwd="/", **_become(user)
        )
    try:
        _wait_for(process, answers, log)
        yield
    finally:
        process.send_signal(signal.SIGINT)  # for PostgreSQL: do not wait for clients
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise ServiceError(f"{process.args!r} did not start: {log.read_text(errors='replace')}")
        time.sleep(_POLL_S)


def _answers_sql(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _answers_ping(url: str) -> bool:
    client = redis.Redis.from_url(url)
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()
