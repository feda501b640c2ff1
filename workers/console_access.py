"""Where the `medley` command finds the console of its installation, and with which token; a private file."""

import json
from dataclasses import asdict, dataclass, field

from engine.serving import files
from workers.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleAccess:
    """Address of the console and an API token for it."""

    web_url: str
    token: str = field(repr=False)


def write_access(home: Home, access: ConsoleAccess) -> None:
    """Keep the access; only the owner of the installation may read it."""
    files.write_private(home.cli, json.dumps(asdict(access)))


def find_access(home: Home) -> ConsoleAccess | None:
    """Return what was kept, or None when the console was never started."""
    try:
        return ConsoleAccess(**json.loads(home.cli.read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None
