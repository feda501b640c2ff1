"""`python -m engine.gateway --console-url URL --state-dir DIR`: one gateway process.

`MEDLEY_GATEWAY_TOKEN` holds the token that the console knows it by. SIGTERM or SIGINT: no new connections, running
requests finish, then the process ends.
"""

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import uvloop

from engine.gateway import server
from engine.gateway.server import GatewayOptions

_LOG: Final = logging.getLogger("engine.gateway")
_TOKEN_VARIABLE: Final = "MEDLEY_GATEWAY_TOKEN"  # noqa: S105  # the variable's name
_EXIT_USAGE: Final = 2


async def run_until_signal(options: GatewayOptions) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with server.run_gateway(options) as gateway:
        _LOG.info("listening on %s:%d", options.host, gateway.port)
        await ending.wait()
        _LOG.info("draining for at most %.0f s", options.drain_s)


def _raise_file_limit() -> None:
    """Allow as many connections as the system lets us: a stream takes two descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.gateway", description="Medley's gateway")
    parser.add_argument("--console-url", required=True, help="where the routing table comes from")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8401)
    parser.add_argument("--state-dir", type=Path, required=True, help="keeps the last routing table")
    parser.add_argument("--drain-s", type=float, default=20.0, help="longest wait for running requests at the end [s]")
    return parser.parse_args()


def main() -> int:
    """Run a gateway."""
    arguments = _parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    token = os.environ.get(_TOKEN_VARIABLE, "")
    if not token:
        _LOG.error("%s is not set: give it the console's gateway token", _TOKEN_VARIABLE)
        return _EXIT_USAGE
    options = GatewayOptions(
        console_url=arguments.console_url,
        host=arguments.host,
        port=arguments.port,
        state_dir=arguments.state_dir,
        token=token,
        drain_s=arguments.drain_s,
    )
    _raise_file_limit()
    try:
        uvloop.run(run_until_signal(options))
    except OSError as error:
        _LOG.error("the gateway cannot run: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
