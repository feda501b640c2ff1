"""House-keeping: old events, messages the embedded broker has handed out, sessions that ended."""

import logging
from typing import Final

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from webapp.core import events, queue

_LOG: Final = logging.getLogger(__name__)
_KEEP_MESSAGES_S: Final = 3600.0  # long enough to look at what a worker was just given


@shared_task(name="core.clean_up")
def clean_up(**_kwargs: object) -> None:
    """Delete what nobody needs any more."""
    now = timezone.now()
    num_events = events.delete_old_events(now=now)
    num_messages = queue.delete_processed_messages(older_than_s=_KEEP_MESSAGES_S, now_s=now.timestamp())
    SessionStore.clear_expired()
    _LOG.info("deleted %d old events and %d processed messages", num_events, num_messages)
