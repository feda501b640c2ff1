"""The node agent: starts, watches and stops the vLLM shards of one machine, as the console declares them.

`python -m engine.serving.agent --config FILE`. One agent lives per configuration: it holds `agent.lock` beside the
file. SIGTERM stops all shards; after SIGKILL the shards go on, and the next agent on the same file adopts them.
`--clean-up` ends what a killed agent left and leaves.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import ssl
import sys
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from engine.errors import EngineError
from engine.serving import agent_api, agent_config, files
from engine.serving.agent_api import AgentApi
from engine.serving.agent_config import AgentConfig
from engine.serving.fleet import Fleet
from engine.serving.shard_host import LinuxShardHost
from engine.serving.shard_probe import HttpShardProbe
from engine.serving.supervisor import ShardTools
from engine.serving.zygote_client import ZygoteClient

_LOG: Final = logging.getLogger("engine.serving.agent")
_EXIT_ALREADY_RUNS: Final = 75
_PRELOAD_POLL_S: Final = 2.0
_SHUTDOWN_TIMEOUT_S: Final = 2.0  # for requests that are being answered


async def run_agent(config: AgentConfig) -> None:
    """Serve until SIGTERM or SIGINT, then stop every shard."""
    ending = _catch_signals()
    async with aiohttp.ClientSession(trust_env=False) as http:
        host, fleet = _build_fleet(config, http)
        preloading = asyncio.create_task(_keep_preloaded(host))
        try:
            await fleet.restore()
            api = AgentApi(fleet=fleet, host=host, probe=HttpShardProbe(http))
            runner = await _listen(config, api)
            _LOG.info("listening on %s:%d", config.host, config.port)
            await ending.wait()
            _LOG.info("stopping")
            await runner.cleanup()
        finally:
            preloading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await preloading
            await fleet.close()
            await host.leave()


async def clean_up(config: AgentConfig) -> None:
    """End the shards that a killed agent left running."""
    async with aiohttp.ClientSession(trust_env=False) as http:
        host, fleet = _build_fleet(config, http)
        await fleet.end_all()
        await host.leave()


def _build_fleet(config: AgentConfig, http: aiohttp.ClientSession) -> tuple[LinuxShardHost, Fleet]:
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    zygote = None
    if config.start_method == "prefork":
        zygote = ZygoteClient(zygote_dir=config.zygote_dir, python=config.vllm_python)
    host = LinuxShardHost(python=config.vllm_python, zygote=zygote)
    return host, Fleet(state_dir=config.state_dir, tools=ShardTools(host=host, probe=HttpShardProbe(http)))


async def _keep_preloaded(host: LinuxShardHost) -> None:
    """Have vLLM loaded as soon as it is installed, and again when the preloaded process was killed."""
    while True:
        if host.check_vllm().is_available:
            await host.prepare()
        await asyncio.sleep(_PRELOAD_POLL_S)


async def _listen(config: AgentConfig, api: AgentApi) -> web.AppRunner:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(config.cert_path, config.key_path)
    app = agent_api.build_app(api=api, token_sha256=config.token_sha256)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    await web.TCPSite(runner, config.host, config.port, ssl_context=context, reuse_address=True).start()
    return runner


def _catch_signals() -> asyncio.Event:
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    return ending


def _take_lock(config_path: Path, inherited: int | None) -> int | None:
    """Return the descriptor of the agent's lock with this process's number in the file; None = another agent lives."""
    lock = inherited if inherited is not None else files.try_lock(config_path.with_name("agent.lock"))
    if lock is not None:
        os.set_inheritable(lock, False)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def main() -> int:
    """Run the agent; exit code 75 says that another one lives on the same configuration."""
    parser = argparse.ArgumentParser(description="Medley's node agent")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--lock-fd", type=int, help="the agent's lock, already held by whoever starts it")
    parser.add_argument("--clean-up", action="store_true", help="end what a killed agent left running, and leave")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if _take_lock(arguments.config.resolve(), arguments.lock_fd) is None:
        _LOG.error("another agent already runs with %s", arguments.config)
        return _EXIT_ALREADY_RUNS
    try:
        config = agent_config.load_agent_config(arguments.config)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(clean_up(config) if arguments.clean_up else run_agent(config))
    except (EngineError, OSError) as error:
        _LOG.error("the agent cannot run: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
