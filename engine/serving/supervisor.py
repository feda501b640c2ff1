"""Keeps one shard running: adopts what already runs, starts, warms up, watches, restarts with back-off."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import EngineError
from engine.serving import files, launch_args, ports
from engine.serving.launch_args import LOOPBACK
from engine.serving.processes import ProcessRef
from engine.serving.protocol import ShardReport, ShardSpec, ShardState
from engine.serving.restart_policy import RestartPolicy
from engine.serving.shard_folder import ShardFolder
from engine.serving.shard_host import ShardHost
from engine.serving.shard_probe import Health, ShardProbe

_LOG: Final = logging.getLogger(__name__)
_START_POLL_S: Final = 0.1
_WATCH_POLL_S: Final = 0.25  # longest time until a killed process is noticed
_HEALTH_EVERY: Final = 4  # watch polls between two health questions: one per second
_UNHEALTHY_AFTER: Final = 3  # unanswered questions in a row
_KILL_AFTER: Final = 15  # unanswered questions in a row; with 2 s each that is half a minute of silence
_VLLM_POLL_S: Final = 1.0
_PORT_TRIES: Final = 10


class ShardRecord(BaseModel):
    """What the agent remembers of a shard across its own end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: ShardSpec
    port: int
    num_restarts: int = 0
    ready_at: datetime | None = None


def find_record(folder: ShardFolder) -> ShardRecord | None:
    """Return the agent's notes on a shard, or None when there are none that can be read."""
    try:
        return ShardRecord.model_validate_json(folder.record.read_text())
    except (FileNotFoundError, ValidationError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTools:
    """What all supervisors of an agent share."""

    host: ShardHost
    probe: ShardProbe
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class ShardSupervisor:
    """One shard's life. `run` never returns by itself; `stop` ends it and the shard."""

    def __init__(self, *, spec: ShardSpec, folder: ShardFolder, rpc_dir: Path, tools: ShardTools) -> None:
        self.spec = spec
        self._folder = folder
        self._rpc_dir = rpc_dir
        self._tools = tools
        previous = find_record(folder)
        self._port = previous.port if previous else None
        self._num_restarts = previous.num_restarts if previous else 0
        self._ready_at = previous.ready_at if previous else None
        self._state = ShardState.PENDING
        self._reason = ""
        self._process: ProcessRef | None = None
        self._crashes_in_row = 0
        self._launching: asyncio.Future[ProcessRef] | None = None

    def report(self) -> ShardReport:
        """Return what is known of the shard now."""
        waits_for = self._tools.host.describe_wait() if self._process is None else ""
        is_waiting = self._state in {ShardState.STARTING, ShardState.RESTARTING} and waits_for
        return ShardReport(
            shard_id=self.spec.shard_id,
            state=self._state,
            reason=waits_for if is_waiting else self._reason,
            pid=self._process.pid if self._process else None,
            port=self._port,
            url=f"http://{LOOPBACK}:{self._port}" if self._port else "",
            num_restarts=self._num_restarts,
            ready_at=self._ready_at if self._state in {ShardState.READY, ShardState.UNHEALTHY} else None,
        )

    async def adopt(self) -> None:
        """Take over the shard when it already runs and answers, so that it is `ready` from the first report on."""
        process = self._tools.host.find_running(self._folder)
        if process is None or self._port is None or self._ready_at is None:
            return
        if await self._tools.probe.check_health(self._port) is Health.OK:
            self._process = process
            self._set_state(ShardState.READY)

    async def run(self) -> None:
        """Start and restart the shard for as long as this is not cancelled."""
        while True:
            try:
                reason = await self._live_once()
            except (EngineError, OSError) as error:
                reason = str(error)
            await self._note_end(reason)

    async def stop(self, run: asyncio.Task[None]) -> None:
        """End `run` and then the shard with everything it left behind."""
        self._set_state(ShardState.STOPPING)
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run
        if self._launching is not None:
            with contextlib.suppress(EngineError, OSError):
                self._process = await self._launching  # it may be about to exist: know it before ending it
        await self._tools.host.end(self._folder, self._process)
        files.remove_folder(self._rpc_dir)
        self._process = None
        self._set_state(ShardState.STOPPED)

    async def _live_once(self) -> str:
        """Run one process from its start or adoption to its end and return why it ended."""
        process = self._process or self._tools.host.find_running(self._folder)
        if process is None:
            await self._wait_for_vllm()
            process = await self._launch()
        self._process = process
        if self._state is not ShardState.READY:
            if self._state is ShardState.PENDING:  # adopted from an agent that was killed while it started this
                self._set_state(ShardState.STARTING)
            failure = await self._wait_until_ready(process)
            if failure:
                return failure
        return await self._watch(process)

    async def _wait_for_vllm(self) -> None:
        while not (vllm := self._tools.host.check_vllm()).is_available:
            self._set_state(ShardState.PENDING, vllm.reason)
            await self._tools.sleep(_VLLM_POLL_S)

    async def _launch(self) -> ProcessRef:
        is_first = self._crashes_in_row == 0 and self._state is not ShardState.RESTARTING
        if self._state is not ShardState.FAILED:
            self._set_state(ShardState.STARTING if is_first else ShardState.RESTARTING, self._reason)
        await self._tools.host.prepare()
        self._folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._tools.host.end(self._folder, None)  # e.g. an engine process that outlived its server
        self._port = await self._pick_port()
        self._ready_at = None
        self._save()
        files.make_run_dir(self._rpc_dir.parent)
        files.remove_folder(self._rpc_dir)
        launch = launch_args.build_shard_launch(self.spec, port=self._port, rpc_dir=files.make_run_dir(self._rpc_dir))
        self._launching = asyncio.ensure_future(self._tools.host.start(self._folder, launch))
        process = await asyncio.shield(self._launching)
        self._launching = None
        return process

    async def _pick_port(self) -> int:
        """Return the port of before; the kernel frees a killed process's port a little after the process looks gone."""
        for _ in range(_PORT_TRIES):
            port = ports.pick_port(preferred=self._port)
            if self._port in {None, port}:
                return port
            await self._tools.sleep(_START_POLL_S)
        return port

    async def _wait_until_ready(self, process: ProcessRef) -> str:
        timeout_s = self._tools.host.start_timeout_s
        for _ in range(round(timeout_s / _START_POLL_S)):
            if not self._tools.host.is_alive(process):
                return await self._tools.host.describe_end(self._folder, process)
            if await self._tools.probe.check_health(self._require_port()) is Health.OK:
                return await self._warm_up()
            await self._tools.sleep(_START_POLL_S)
        return f"did not answer within {timeout_s:.0f} s"

    async def _warm_up(self) -> str:
        failure = await self._tools.probe.warm_up(self._require_port(), self.spec.served_model_name)
        if not failure:
            self._ready_at = self._tools.now()
            self._save()
            self._set_state(ShardState.READY)
        return failure

    async def _watch(self, process: ProcessRef) -> str:
        num_silent = 0
        while True:
            for _ in range(_HEALTH_EVERY):
                if not self._tools.host.is_alive(process):
                    return await self._tools.host.describe_end(self._folder, process)
                await self._tools.sleep(_WATCH_POLL_S)
            health = await self._tools.probe.check_health(self._require_port())
            if health is Health.DEAD:
                return "its engine process died"
            num_silent = 0 if health is Health.OK else num_silent + 1
            if num_silent >= _KILL_AFTER:
                return "it did not answer health checks"
            if num_silent >= _UNHEALTHY_AFTER:
                self._set_state(ShardState.UNHEALTHY, f"{num_silent} health checks in a row without an answer")
            elif self._state is ShardState.UNHEALTHY and num_silent == 0:
                self._set_state(ShardState.READY)

    async def _note_end(self, reason: str) -> None:
        """Clear up after an ended process, and wait as long as the policy says."""
        policy, now = self._tools.policy, self._tools.now()
        was_ready = self._state in {ShardState.READY, ShardState.UNHEALTHY} and self._ready_at is not None
        if was_ready and self._ready_at and policy.is_stable((now - self._ready_at).total_seconds()):
            self._crashes_in_row = 0
        self._crashes_in_row += 1
        self._num_restarts += 1
        has_failed = self._crashes_in_row >= policy.fails_after and not was_ready
        delay_s = policy.compute_delay_s(self._crashes_in_row)
        wait = f"; next start in {delay_s:.0f} s" if delay_s else ""
        self._set_state(ShardState.FAILED if has_failed else ShardState.RESTARTING, f"{reason}{wait}")
        _LOG.warning("shard %s: %s%s", self.spec.shard_id, reason, wait)
        process, self._process = self._process, None
        await self._tools.host.end(self._folder, process)
        await self._tools.sleep(delay_s)

    def _require_port(self) -> int:
        if self._port is None:
            raise ports.NoFreePortError(f"shard {self.spec.shard_id} has no port yet")
        return self._port

    def _set_state(self, state: ShardState, reason: str = "") -> None:
        if state is not self._state:
            _LOG.info("shard %s is %s%s", self.spec.shard_id, state, f": {reason}" if reason else "")
        self._state, self._reason = state, reason

    def _save(self) -> None:
        record = ShardRecord(
            spec=self.spec, port=self._require_port(), num_restarts=self._num_restarts, ready_at=self._ready_at
        )
        files.write_private(self._folder.record, record.model_dump_json())
