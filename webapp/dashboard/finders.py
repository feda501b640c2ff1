"""Static files that come out of an installed Python package: plotly's own bundle of plotly.js."""

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from django.contrib.staticfiles.finders import BaseFinder
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage

_PREFIX: Final = "plotly"
_FILE: Final = "plotly.min.js"
_PATH: Final = f"{_PREFIX}/{_FILE}"


def find_bundle_folder() -> Path:
    """Return the folder of plotly.js in the installed package, found without importing it.

    Raises:
        ImproperlyConfigured: the package is not installed, or no longer has the bundle there.
    """
    spec = importlib.util.find_spec("plotly")
    folders = [] if spec is None else [Path(place) / "package_data" for place in spec.submodule_search_locations or ()]
    found = next((folder for folder in folders if (folder / _FILE).is_file()), None)
    if found is None:
        raise ImproperlyConfigured(f"the Python package plotly has no package_data/{_FILE}: install the locked version")
    return found


class PlotlyFinder(BaseFinder):
    """Finds exactly one file, `plotly/plotly.min.js`."""

    def __init__(self, app_names: object = None, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002  # Django calls it so
        super().__init__(*args, **kwargs)
        self._storage = FileSystemStorage(location=find_bundle_folder())
        self._storage.prefix = _PREFIX  # type: ignore[attr-defined]  # collectstatic reads it

    def check(self, **_kwargs: Any) -> list[Any]:
        """Return no complaint: a missing bundle has failed loudly already."""
        return []

    def find(self, path: str, find_all: bool = False, **_kwargs: Any) -> Any:
        """Return where the file is when it is the one asked for."""
        if path != _PATH:
            return [] if find_all else None
        found = self._storage.path(_FILE)
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:  # noqa: ARG002
        """Yield the file for collectstatic."""
        yield _FILE, self._storage
