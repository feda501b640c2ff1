"""All shards of one machine: makes what runs equal to the list that was declared last, and keeps that list."""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from engine.serving import files
from engine.serving.protocol import DesiredShards, ShardReport, ShardSpec, ShardState
from engine.serving.shard_folder import ShardFolder
from engine.serving.supervisor import ShardSupervisor, ShardTools, find_record

_LOG: Final = logging.getLogger(__name__)
_RPC_NAME_CHARS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A shard that is kept running."""

    supervisor: ShardSupervisor
    run: asyncio.Task[None]


class Fleet:
    """Holds one supervisor per shard; single-threaded, called from the agent's event loop only."""

    def __init__(self, *, state_dir: Path, tools: ShardTools) -> None:
        self._state_dir = state_dir
        self._run_dir = files.find_run_dir(state_dir)
        self._tools = tools
        self._desired: dict[str, ShardSpec] = {}
        self._members: dict[str, _Member] = {}
        self._leaving: dict[str, _Member] = {}
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def _desired_file(self) -> Path:
        return self._state_dir / "desired.json"

    async def restore(self) -> None:
        """Read the declared list of a previous agent, adopt what runs of it and end what runs beside it."""
        self._desired = _read_desired(self._desired_file)
        for shard_id in self._list_known():
            if shard_id not in self._desired:
                await self._end_stray(shard_id)
        await self._converge()

    def put(self, specs: list[ShardSpec]) -> None:
        """Declare the complete list; starts and stops follow in the background."""
        desired = {spec.shard_id: spec for spec in specs}
        if desired != self._desired or not self._desired_file.exists():
            files.write_private(self._desired_file, DesiredShards(shards=specs).model_dump_json())
            self._desired = desired
        self._spawn(self._converge())

    def list_reports(self) -> list[ShardReport]:
        """Return every shard that is wanted or still being stopped, ordered by id."""
        reports = {shard_id: ShardReport(shard_id=shard_id, state=ShardState.PENDING) for shard_id in self._desired}
        members = {**self._members, **self._leaving}
        reports |= {shard_id: member.supervisor.report() for shard_id, member in members.items()}
        return [reports[shard_id] for shard_id in sorted(reports)]

    def find_folder(self, shard_id: str) -> ShardFolder | None:
        """Return the folder of a known shard, or None."""
        is_known = shard_id in self._desired or shard_id in self._leaving
        return self._folder(shard_id) if is_known else None

    async def close(self) -> None:
        """Stop every shard; the declared list stays for the next agent."""
        self._desired = {}
        for shard_id in list(self._members):
            self._release(shard_id, keeps_folder=True)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)  # one that fails is logged; the others go on
        files.remove_folder(self._run_dir)

    async def end_all(self) -> None:
        """End whatever a previous agent left running, without taking anything over."""
        for shard_id in self._list_known():
            await self._end_stray(shard_id)
        files.remove_folder(self._run_dir)

    async def _converge(self) -> None:
        """Release what is not wanted as it is, start what is wanted and not there."""
        async with self._turn:
            for shard_id, member in list(self._members.items()):
                if self._desired.get(shard_id) != member.supervisor.spec:
                    self._release(shard_id, keeps_folder=False)
            missing = [spec for spec in self._desired.values() if self._is_missing(spec.shard_id)]
            await asyncio.gather(*(self._start(spec) for spec in missing))

    def _is_missing(self, shard_id: str) -> bool:
        return shard_id not in self._members and shard_id not in self._leaving

    async def _start(self, spec: ShardSpec) -> None:
        folder = self._folder(spec.shard_id)
        record = find_record(folder)
        if record is not None and record.spec != spec:
            await self._end_stray(spec.shard_id)
        supervisor = ShardSupervisor(spec=spec, folder=folder, rpc_dir=self._rpc_dir(spec.shard_id), tools=self._tools)
        await supervisor.adopt()
        if self._is_missing(spec.shard_id) and self._desired.get(spec.shard_id) == spec:
            run = asyncio.create_task(supervisor.run(), name=f"shard {spec.shard_id}")
            self._members[spec.shard_id] = _Member(supervisor=supervisor, run=run)

    def _release(self, shard_id: str, *, keeps_folder: bool) -> None:
        self._leaving[shard_id] = self._members.pop(shard_id)
        self._spawn(self._stop(shard_id, keeps_folder=keeps_folder))

    async def _stop(self, shard_id: str, *, keeps_folder: bool) -> None:
        member = self._leaving[shard_id]
        try:
            await member.supervisor.stop(member.run)
            if not keeps_folder:
                files.remove_folder(self._folder(shard_id).path)
        finally:
            del self._leaving[shard_id]
        await self._converge()  # the same id may be wanted again, with another specification

    async def _end_stray(self, shard_id: str) -> None:
        _LOG.info("ending shard %s: it is not wanted as it runs", shard_id)
        folder = self._folder(shard_id)
        await self._tools.host.end(folder, None)
        files.remove_folder(self._rpc_dir(shard_id))
        files.remove_folder(folder.path)

    def _list_known(self) -> list[str]:
        return sorted(path.name for path in (self._state_dir / "shards").glob("*") if path.is_dir())

    def _folder(self, shard_id: str) -> ShardFolder:
        return ShardFolder(path=self._state_dir / "shards" / shard_id)

    def _rpc_dir(self, shard_id: str) -> Path:
        return self._run_dir / hashlib.sha256(shard_id.encode()).hexdigest()[:_RPC_NAME_CHARS]

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a change of shards failed", exc_info=error)


def _read_desired(path: Path) -> dict[str, ShardSpec]:
    try:
        desired = DesiredShards.model_validate_json(path.read_text())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        _LOG.warning("the declared list of a previous agent cannot be read: %s", error)
        return {}
    return {spec.shard_id: spec for spec in desired.shards}
