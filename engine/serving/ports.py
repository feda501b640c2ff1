"""Free TCP ports of the loopback address."""

import contextlib
import socket

from engine.errors import UnavailableError
from engine.serving.launch_args import LOOPBACK


class NoFreePortError(UnavailableError):
    """The host has no port left."""

    code = "no_free_port"


def pick_port(*, preferred: int | None) -> int:
    """Return `preferred` when nothing listens on it, else any free port."""
    for port in (preferred, 0):
        if port is None:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise NoFreePortError("no free port on this host")
