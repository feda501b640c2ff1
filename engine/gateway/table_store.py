"""The last routing table on disk, so that a gateway can start without its console."""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.domain.codec import json_to_value, value_to_json
from engine.errors import InvalidInputError
from engine.routing.table import RoutingTable

_LOG: Final = logging.getLogger("engine.gateway")
_FILE_NAME: Final = "routing-table.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTable:
    """A table with the ETag it came under."""

    etag: str
    table: RoutingTable


class TableStore:
    """One private file, replaced in one step. It holds digests of keys, never keys."""

    def __init__(self, state_dir: Path) -> None:
        self._path: Final = state_dir / _FILE_NAME

    def load(self) -> StoredTable | None:
        """Return the stored table, or None when there is none that can be read."""
        try:
            return json_to_value(StoredTable, json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except (InvalidInputError, ValueError, OSError) as error:
            _LOG.warning("ignoring %s, waiting for the console's table: %s", self._path, error)
            return None

    def save(self, stored: StoredTable) -> None:
        """Replace the file; a kill at any instruction leaves the old or the new one whole."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = self._path.with_name(f".{_FILE_NAME}.{os.getpid()}")
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(value_to_json(stored), file)
        aside.replace(self._path)
