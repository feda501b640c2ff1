"""Keeping the routing table fresh: ask the console every second, keep the last answer when it does not."""

import asyncio
import json
import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import aiohttp

from engine.domain.codec import json_to_value
from engine.errors import InvalidInputError, UnavailableError
from engine.gateway.metrics import GatewayMetrics
from engine.gateway.table_store import StoredTable, TableStore
from engine.routing.table import RoutingTable

_LOG: Final = logging.getLogger("engine.gateway")
_PATH: Final = "/api/v1/gateway/routing-table"
_OK: Final = 200
_UNCHANGED: Final = 304
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)


class TableUnavailableError(UnavailableError):
    """The console gave no table that can be used."""

    code = "table_unavailable"


class PullResult(StrEnum):
    """What an ask for the table brought."""

    NEW = "new"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class TablePuller:
    """Pulls one console's table and hands every new version on."""

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        console_url: str,
        token: str,
        store: TableStore,
        on_table: Callable[[RoutingTable], None],
        metrics: GatewayMetrics,
        interval_s: float = 1.0,
    ) -> None:
        self._http: Final = http
        self._url: Final = console_url.rstrip("/") + _PATH
        self._token: Final = token
        self._store: Final = store
        self._on_table: Final = on_table
        self._metrics: Final = metrics
        self._interval_s: Final = interval_s
        self._etag = ""
        self._latest_complaint = ""

    def restore(self) -> None:
        """Begin with the table on disk, if there is one."""
        stored = self._store.load()
        if stored is None:
            return
        self._etag = stored.etag
        self._on_table(stored.table)
        _LOG.info("serving table %s from disk until the console answers", stored.table.version)

    async def run(self) -> None:
        """Pull until cancelled."""
        while True:
            await self.pull_once()
            await asyncio.sleep(self._interval_s)

    async def pull_once(self) -> PullResult:
        """Ask once; on failure everything stays as it is."""
        try:
            stored = await self._fetch()
        except (aiohttp.ClientError, TimeoutError, OSError, UnavailableError) as error:
            result = self._note_failure(error)
        else:
            result = await self._take(stored)
        self._metrics.note_pull(result.value)
        return result

    async def _fetch(self) -> StoredTable | None:
        """Return a new table, or None when nothing changed."""
        headers = {"Authorization": f"Bearer {self._token}"}
        if self._etag:
            headers["If-None-Match"] = self._etag
        async with self._http.get(self._url, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as answer:
            if answer.status == _UNCHANGED:
                return None
            if answer.status != _OK:
                raise TableUnavailableError(f"{self._url} answered {answer.status}", status=answer.status)
            return _parse_table(await answer.read(), etag=answer.headers.get("ETag", ""))

    async def _take(self, stored: StoredTable | None) -> PullResult:
        if self._latest_complaint:
            _LOG.info("the console answers again")
            self._latest_complaint = ""
        if stored is None:
            return PullResult.UNCHANGED
        self._on_table(stored.table)
        self._etag = stored.etag
        await self._save(stored)
        _LOG.info("serving table %s", stored.table.version)
        return PullResult.NEW

    async def _save(self, stored: StoredTable) -> None:
        try:
            await asyncio.to_thread(self._store.save, stored)
        except OSError as error:  # a full disk must not stop traffic
            _LOG.warning("the table could not be kept on disk: %s", error)

    def _note_failure(self, error: Exception) -> PullResult:
        complaint = f"{type(error).__name__}: {error}"
        if complaint != self._latest_complaint:
            _LOG.warning("keeping the last table: %s", complaint)
            self._latest_complaint = complaint
        return PullResult.FAILED


def _parse_table(body: bytes, *, etag: str) -> StoredTable:
    try:
        return StoredTable(etag=etag, table=json_to_value(RoutingTable, json.loads(body)))
    except (InvalidInputError, ValueError) as error:
        raise TableUnavailableError(f"the console's table cannot be read: {error}") from error
