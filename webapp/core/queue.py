"""Queueing work by task name, and the broker settings that web and workers share."""

import functools
from pathlib import Path
from typing import Final

from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu.exceptions import ChannelError, OperationalError

from webapp.core.errors import QueueUnavailableError

_FILES_SCHEME: Final = "filesystem://"
_POLL_S: Final = (
    0.25  # a worker looks for files this often; the default of 1 s makes every step of a plan that much later
)
_PUBLISH_RETRIES: Final = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}


def broker_settings() -> dict[str, object]:
    """Return the Celery settings of the broker; folders of the embedded one are made here.

    `filesystem://` keeps messages as files below `MEDLEY_BROKER_DIR`; any other URL is Celery's own.
    """
    shared: dict[str, object] = {
        "broker_url": settings.MEDLEY_BROKER_URL,
        "broker_connection_retry_on_startup": True,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "timezone": "UTC",
    }
    if settings.MEDLEY_BROKER_URL != _FILES_SCHEME:
        return shared
    return shared | {
        "broker_transport_options": _make_folders(settings.MEDLEY_BROKER_DIR),
        # Remote control leaves a file behind for every worker that ever lived.
        "worker_enable_remote_control": False,
    }


def _make_folders(root: Path) -> dict[str, object]:
    folders = {name: root / name for name in ("messages", "processed", "control")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        # Taking a message is a rename: atomic only inside one file system, which the default (/tmp) need not be.
        "store_processed": True,
        "processed_folder": str(folders["processed"]),
        "control_folder": str(folders["control"]),
        "polling_interval": _POLL_S,
    }


@functools.cache
def _get_producer() -> Celery:
    producer = Celery("medley-producer", set_as_current=False)
    producer.conf.update(broker_settings())
    return producer


def send_task(name: str, *, queue: str, **kwargs: object) -> None:
    """Queue the task `name` with JSON arguments once the surrounding transaction has committed.

    Raises:
        QueueUnavailableError: the broker does not answer; the transaction stays committed.
    """
    transaction.on_commit(functools.partial(_send_now, name, queue, kwargs))


def _send_now(name: str, queue: str, kwargs: dict[str, object]) -> None:
    try:
        _get_producer().send_task(name, kwargs=kwargs, queue=queue, retry=True, retry_policy=_PUBLISH_RETRIES)
    except (OperationalError, ChannelError, OSError) as error:  # the latter two are a full disk or a lost folder
        raise QueueUnavailableError(
            f"the change is stored, but the broker did not take {name}; it is tried again by the schedule", task=name
        ) from error


def delete_processed_messages(*, older_than_s: float, now_s: float) -> int:
    """Delete messages the embedded broker has handed out; return how many went.

    Args:
        older_than_s: age since a message was written [s].
        now_s: the instant as a Unix time [s].
    """
    num_deleted = 0
    for file in (settings.MEDLEY_BROKER_DIR / "processed").glob("*.msg"):
        if now_s - file.stat().st_mtime > older_than_s:
            file.unlink(missing_ok=True)
            num_deleted += 1
    return num_deleted
