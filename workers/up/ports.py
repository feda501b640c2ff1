"""Ports of the console and the gateway: the usual ones, else the next that are free."""

import socket
from collections.abc import Callable
from typing import Final

from engine.errors import InvalidInputError, UnavailableError

WEB_PORT: Final = 8400
GATEWAY_PORT: Final = 8401
_TRIES: Final = 100

IsFree = Callable[[str, int], bool]


class PortTakenError(InvalidInputError):
    """Something else listens on the port that was asked for."""

    code = "port_taken"


class NoPortError(UnavailableError):
    """None of the usual ports is free."""

    code = "no_port"


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def pick_port(
    *,
    host: str,
    asked: int | None,
    variable: str,
    first: int,
    taken: frozenset[int] = frozenset(),
    free: IsFree = is_free,
) -> int:
    """Return the port that was asked for, else the first free one from `first` on.

    Args:
        host: address to listen on.
        asked: port that a person wants, or None.
        variable: name of the environment variable with which it is asked for.
        first: usual port.
        taken: ports already given to others of this start.
        free: whether a port can be listened on.
    Raises:
        PortTakenError: the port that was asked for is in use.
        NoPortError: none of the hundred from `first` on is free.
    """
    if asked is not None:
        if asked in taken or not free(host, asked):
            raise PortTakenError(
                f"port {asked} on {host} is in use", field=variable, remedy="free it, or give another port"
            )
        return asked
    for port in range(first, first + _TRIES):
        if port not in taken and free(host, port):
            return port
    raise NoPortError(f"no port from {first} to {first + _TRIES - 1} on {host} is free")
