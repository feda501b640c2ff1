"""Run a module's `main` with Django set up: `python -m workers.with_django MODULE`.

Models can be imported only after the set-up, so the module is named and imported here. What a person can mend is said
in words; everything else is a defect and ends with its traceback.
"""

import importlib
import os
import sys
from types import ModuleType
from typing import Final

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, ProgrammingError

from engine.errors import EngineError

_EXIT_FAILED: Final = 1


def load(name: str) -> ModuleType:
    """Return the module `name`, imported with Django set up.

    Raises:
        ImproperlyConfigured: a setting is missing or makes no sense.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.base")
    if not apps.ready:  # a second set-up would begin logging anew
        django.setup()
    return importlib.import_module(name)


def run(name: str) -> int:
    """Run the module's `main` and return its exit code."""
    try:
        code: int = load(name).main()
    except (OperationalError, ProgrammingError) as error:
        _tell(f"the database cannot be used: {str(error).strip()}; check DATABASE_URL, or start with `medley up`")
        return _EXIT_FAILED
    except (ImproperlyConfigured, EngineError, OSError) as error:
        _tell(str(error))
        return _EXIT_FAILED
    return code


def _tell(text: str) -> None:
    sys.stderr.write(f"  ! {text}\n")


if __name__ == "__main__":
    sys.exit(run(sys.argv[1]))
