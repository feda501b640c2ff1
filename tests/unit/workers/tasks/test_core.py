"""House-keeping."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django import Settings

from webapp.core.models import Event
from workers.tasks.core import clean_up


@pytest.fixture
def processed(tmp_path: Path, settings: Settings) -> Path:
    """Folder of messages that were handed out."""
    settings.MEDLEY_BROKER_DIR = tmp_path
    folder = tmp_path / "processed"
    folder.mkdir()
    return folder


@pytest.mark.django_db
class TestCleanUp:
    def test_deletes_what_is_old_and_keeps_the_rest(self, processed: Path) -> None:
        now = timezone.now()
        for name, age in (("old.msg", timedelta(hours=2)), ("new.msg", timedelta(minutes=5))):
            (processed / name).touch()
            os.utime(processed / name, ((now - age).timestamp(),) * 2)
        for topic, age in (("old", timedelta(days=3)), ("new", timedelta(hours=1))):
            Event.objects.create(created_at=now - age, topic=topic, kind="state")
        for seconds in (-60, 3600):
            session = SessionStore()
            session["user"] = 1
            session.set_expiry(seconds)
            session.save()
        clean_up()
        assert [path.name for path in processed.iterdir()] == ["new.msg"]
        assert [event.topic for event in Event.objects.all()] == ["new"]
        assert Session.objects.count() == 1

    def test_takes_arguments_of_newer_senders(self, processed: Path) -> None:
        clean_up(newer=1)
        assert list(processed.iterdir()) == []
