"""Thin Celery tasks: each makes one call into a service."""
