"""Static files: collected again only when one of them has changed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

from engine.serving import files


def collect_static(*, root: Path, stamp: Path) -> bool:
    """Bring the collected files up to date and return whether that was needed."""
    digest = compute_digest(_list_sources())
    if root.is_dir() and stamp.is_file() and stamp.read_text() == digest:
        return False
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    files.write_private(stamp, digest)
    return True


def compute_digest(sources: Iterable[Path]) -> str:
    """Return a digest that changes when a file is added, removed or written."""
    total = hashlib.sha256()
    for path in sorted(sources):
        info = path.stat()
        total.update(f"{path}\0{info.st_size}\0{info.st_mtime_ns}\n".encode())
    return total.hexdigest()


def _list_sources() -> list[Path]:
    return [Path(storage.path(name)) for finder in get_finders() for name, storage in finder.list(ignore_patterns=None)]
