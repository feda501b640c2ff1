"""Users with roles, the audit log, the event outbox and API tokens."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(models.TextChoices):
    """What a person may do; each role includes the ones before it, except that approvers do not plan."""

    VIEWER = "viewer", "Viewer"
    PLANNER = "planner", "Planner"
    APPROVER = "approver", "Approver"
    ADMIN = "admin", "Admin"


class User(AbstractUser):
    """A person, or a program that uses an API token."""

    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)


class AuditEntry(models.Model):
    """Who did what to which object; append-only."""

    created_at = models.DateTimeField(db_index=True)
    actor = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT)  # null: the system itself
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["object_type", "object_id"])]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"


class Event(models.Model):
    """One change for browsers, written in the transaction that makes it; the relay tails this table."""

    created_at = models.DateTimeField(db_index=True)
    topic = models.CharField(max_length=128)  # `plan-request:7`, `deployment:demo`, `market`
    kind = models.CharField(max_length=64)
    payload = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["topic", "id"], name="event_topic_id")]  # what a browser's replay asks for

    def __str__(self) -> str:
        return f"{self.topic} {self.kind}"


class ApiToken(models.Model):
    """A program's key to the REST API; only its SHA-256 is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=64)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name
