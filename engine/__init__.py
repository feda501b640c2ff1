"""Medley's engine: values in, values out; no Django, no Celery, no settings."""
