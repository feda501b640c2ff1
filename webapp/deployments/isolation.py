"""Keeping one failure to itself: what goes wrong with one machine or deployment must not stop work on the others."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from celery.exceptions import SoftTimeLimitExceeded

from engine.errors import EngineError

_LOG: Final = logging.getLogger(__name__)


@contextmanager
def isolated(failure: str) -> Iterator[None]:
    """Run a block whose failure is logged and goes no further; only a task's time limit passes through.

    Args:
        failure: sentence for the log, e.g. `deployment 3 was not reconciled`.
    """
    try:
        yield
    except SoftTimeLimitExceeded:
        raise
    except EngineError as error:
        _LOG.warning("%s: %s", failure, error.message)
    except Exception:  # noqa: BLE001  # a defect met by one must not cost the others their care; its trace is logged
        _LOG.exception(failure)


def describe_failure(error: Exception, *, what: str) -> str:
    """Return in words why a call to a provider failed, and log the trace of what nobody expected.

    Raises:
        SoftTimeLimitExceeded: the task's time is over, which is no failure of the provider.
    """
    if isinstance(error, SoftTimeLimitExceeded):
        raise error
    if isinstance(error, EngineError):
        return error.message
    _LOG.error("%s failed", what, exc_info=error)
    return f"{what} failed: {type(error).__name__}, see the log"
