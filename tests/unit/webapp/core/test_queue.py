"""Queueing by task name, on the embedded broker."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.db import transaction

from webapp.core import queue
from webapp.core.errors import QueueUnavailableError


@pytest.fixture
def broker_dir(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """An embedded broker of this test alone."""
    settings.MEDLEY_BROKER_URL = "filesystem://"
    settings.MEDLEY_BROKER_DIR = tmp_path / "broker"
    queue._get_producer.cache_clear()
    yield tmp_path / "broker"
    queue._get_producer.cache_clear()


def _take(queue_name: str) -> Any:
    """Take the next message of a queue as a worker does."""
    app = Celery(set_as_current=False)
    app.conf.update(queue.broker_settings())
    with app.connection_for_read() as connection, connection.SimpleQueue(queue_name) as messages:
        message = messages.get(block=False)
        message.ack()
        return message


class TestBrokerSettings:
    def test_makes_folders_inside_the_data_folder(self, broker_dir: Path) -> None:
        options = queue.broker_settings()["broker_transport_options"]
        assert options["data_folder_in"] == options["data_folder_out"] == str(broker_dir / "messages")
        assert sorted(path.name for path in broker_dir.iterdir()) == ["control", "messages", "processed"]

    def test_leaves_other_brokers_to_celery(self, broker_dir: Path, settings: Any) -> None:
        settings.MEDLEY_BROKER_URL = "redis://localhost:6379/0"
        found = queue.broker_settings()
        assert found["broker_url"] == "redis://localhost:6379/0"
        assert "broker_transport_options" not in found
        assert not broker_dir.exists()


@pytest.mark.django_db(transaction=True)
class TestSendTask:
    def test_waits_for_the_commit(self, broker_dir: Path) -> None:
        with transaction.atomic():
            queue.send_task("planning.solve", queue="solve", plan_request_id=7)
            assert list(broker_dir.glob("messages/*")) == []
        message = _take("solve")
        assert message.headers["task"] == "planning.solve"
        assert message.payload[1] == {"plan_request_id": 7}

    def test_sends_nothing_after_a_rollback(self, broker_dir: Path) -> None:
        with transaction.atomic():
            queue.send_task("planning.solve", queue="solve", plan_request_id=7)
            transaction.set_rollback(True)
        assert list(broker_dir.glob("messages/*")) == []

    def test_keeps_queues_apart(self, broker_dir: Path) -> None:
        queue.send_task("deployments.apply", queue="operate", plan_request_id=1)
        queue.send_task("planning.solve", queue="solve", plan_request_id=2)
        assert _take("solve").payload[1] == {"plan_request_id": 2}
        assert _take("operate").payload[1] == {"plan_request_id": 1}

    def test_says_that_the_change_is_stored_when_the_broker_is_gone(self, broker_dir: Path) -> None:
        queue._get_producer()
        (broker_dir / "messages").rmdir()
        with pytest.raises(QueueUnavailableError) as error:
            queue.send_task("planning.solve", queue="solve", plan_request_id=7)
        assert error.value.retryable
        assert error.value.data == {"task": "planning.solve"}


class TestDeleteProcessedMessages:
    def test_deletes_what_was_handed_out_long_ago(self, broker_dir: Path) -> None:
        queue.broker_settings()
        for name, written_at_s in (("old.solve.msg", 1000.0), ("new.solve.msg", 4000.0), ("old.txt", 1000.0)):
            path = broker_dir / "processed" / name
            path.touch()
            os.utime(path, (written_at_s, written_at_s))
        assert queue.delete_processed_messages(older_than_s=3600.0, now_s=5000.0) == 1
        assert sorted(path.name for path in (broker_dir / "processed").iterdir()) == ["new.solve.msg", "old.txt"]

    def test_finds_nothing_where_another_broker_is_used(self, broker_dir: Path) -> None:
        assert queue.delete_processed_messages(older_than_s=0.0, now_s=5000.0) == 0
