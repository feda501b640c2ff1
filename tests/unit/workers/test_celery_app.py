"""The Celery application: every task has a queue that a worker takes, and the schedule names real tasks."""

import pytest

from webapp.core.queue import broker_settings
from workers.celery_app import SCHEDULE, TASK_MODULES, app, define_settings
from workers.home import Home
from workers.up.programs import Layout, define_programs


def find_queue(task: str) -> str:
    """Return the queue that Celery sends a task to."""
    return str(app.amqp.router.route({}, task)["queue"].name)


@pytest.fixture(scope="module")
def task_queues() -> dict[str, str]:
    """Return the queue of every task of this project."""
    app.loader.import_default_modules()
    return {name: find_queue(name) for name in app.tasks if not name.startswith("celery.")}


class TestApp:
    def test_knows_the_tasks_that_the_console_sends(self, task_queues: dict[str, str]) -> None:
        assert task_queues == {
            "core.clean_up": "market",
            "deployments.apply": "operate",
            "deployments.reconcile": "operate",
            "deployments.reconcile_all": "operate",
            "market.refresh_local": "market",
            "planning.solve": "solve",
            "planning.sweep": "solve",
            "telemetry.roll_up": "market",
        }

    def test_schedules_tasks_that_exist_and_drops_turns_nobody_took(self, task_queues: dict[str, str]) -> None:
        assert {line["task"] for line in SCHEDULE.values()} <= set(task_queues)
        assert [line["options"] for line in SCHEDULE.values()] == [
            {"expires": line["schedule"]} for line in SCHEDULE.values()
        ]

    def test_has_a_worker_for_every_queue(
        self, task_queues: dict[str, str], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        layout = Layout(
            home=Home(folder=tmp_path_factory.mktemp("home")),
            host="127.0.0.1",
            web_port=1,
            gateway_port=2,
            gateway_token="",
            environment={},
        )
        taken = {
            queue
            for program in define_programs(layout)
            if "-Q" in program.command
            for queue in program.command[program.command.index("-Q") + 1].split(",")
        }
        assert taken == set(task_queues.values())

    def test_includes_all_modules_of_tasks(self) -> None:
        assert [module.rsplit(".", 1)[1] for module in TASK_MODULES] == [
            "market",
            "planning",
            "deployments",
            "telemetry",
            "core",
        ]


class TestDefineSettings:
    def test_sends_and_takes_through_the_same_broker(self) -> None:
        settings = define_settings()
        assert {name: settings[name] for name in broker_settings()} == broker_settings()

    def test_bounds_every_task(self) -> None:
        settings = define_settings()
        assert (settings["task_acks_late"], settings["worker_prefetch_multiplier"]) == (True, 1)
        assert (settings["task_soft_time_limit"], settings["task_time_limit"]) == (240.0, 300.0)
