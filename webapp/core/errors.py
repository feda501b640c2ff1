"""Errors every part of the console raises; the leaves of one service stand beside that service."""

from engine.errors import InvalidInputError, RefusedError, UnavailableError


class ForbiddenError(RefusedError):
    """The person is known and active, but the role does not allow this."""

    code = "forbidden"


class NotFoundError(InvalidInputError):
    """Nothing has this identity."""

    code = "not_found"

    def __init__(self, message: str, *, field: str, remedy: str = "check the identity", **data: object) -> None:
        super().__init__(message, field=field, remedy=remedy, **data)


class ConflictError(RefusedError):
    """The object is in a state that does not allow this."""

    code = "conflict"


class QueueUnavailableError(UnavailableError):
    """The change is stored, but the broker did not take the work that follows it."""

    code = "queue_unavailable"
