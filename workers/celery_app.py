"""The Celery application: queues, schedule and the limits every task lives under.

`celery -A workers.celery_app worker -Q market,operate`, `... worker -Q solve`, `... beat`. The broker is the one that
the console sends to: `webapp.core.queue.broker_settings` is read by both.
"""

import os
from typing import Final

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.base")

from celery import Celery, signals  # noqa: E402  # Celery looks for Django's settings when the application is made

from webapp.core.queue import broker_settings  # noqa: E402  # same reason
from workers.death_signal import die_with_parent  # noqa: E402  # same reason

TASK_MODULES: Final = tuple(
    f"workers.tasks.{name}" for name in ("market", "planning", "deployments", "telemetry", "core")
)
ROUTES: Final = {
    "market.*": {"queue": "market"},
    "telemetry.*": {"queue": "market"},
    "core.*": {"queue": "market"},
    "planning.*": {"queue": "solve"},
    "deployments.*": {"queue": "operate"},
}
_SOFT_TIME_LIMIT_S: Final = 240.0  # a task that needs longer says so itself
_TIME_LIMIT_S: Final = 300.0
_TASKS_PER_CHILD: Final = 500  # a child is renewed before what libraries leak adds up


def _every(task: str, *, seconds: float) -> dict[str, object]:
    """Return one line of the schedule; a turn that nobody took until the next one is dropped."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


SCHEDULE: Final = {
    "reconcile": _every("deployments.reconcile_all", seconds=5.0),
    "sweep-solves": _every("planning.sweep", seconds=60.0),
    "refresh-local-offers": _every("market.refresh_local", seconds=60.0),
    "roll-up-telemetry": _every("telemetry.roll_up", seconds=60.0),
    "clean-up": _every("core.clean_up", seconds=3600.0),
}


def define_settings() -> dict[str, object]:
    """Return Celery's settings: those of the broker, and how tasks are taken and bounded."""
    return broker_settings() | {
        "task_default_queue": "market",
        "task_routes": ROUTES,
        "task_acks_late": True,  # when a whole worker dies, a broker that can hands its task out again
        "worker_prefetch_multiplier": 1,
        "task_soft_time_limit": _SOFT_TIME_LIMIT_S,
        "task_time_limit": _TIME_LIMIT_S,
        "worker_max_tasks_per_child": _TASKS_PER_CHILD,
        "beat_schedule": SCHEDULE,
    }


app = Celery("medley", include=TASK_MODULES)
app.add_defaults(define_settings)  # called when the settings are first needed: importing this makes no folders


@signals.worker_process_init.connect
def _bind_to_worker(**_kwargs: object) -> None:
    """Let a pool process end with its worker, however that ends."""
    die_with_parent()
