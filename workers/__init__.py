"""Celery app, queues, schedule, thin tasks, and the processes around the console."""
