"""Bases of the engine's errors: one per way of recovering. Leaves stand beside their raiser.

An error carries data as keyword arguments, so that it survives pickling between processes and can be
translated into an HTTP answer or a page without parsing its text.
"""

from typing import Any


class EngineError(Exception):
    """Something the engine refuses or cannot do.

    Attributes:
        code: stable machine-readable word, documented for API users.
        retryable: whether the same call may succeed later without a change of input.
        data: what the message was made of.
    """

    code = "engine_error"
    retryable = False

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.data)


def _rebuild(cls: type[EngineError], message: str, data: dict[str, Any]) -> EngineError:
    return cls(message, **data)


class InvalidInputError(EngineError):
    """The caller must change the input; `field` names it and `remedy` says how."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str, remedy: str, **data: Any) -> None:
        super().__init__(message, field=field, remedy=remedy, **data)
        self.field = field
        self.remedy = remedy


class UnavailableError(EngineError):
    """Something outside did not answer or refused for now; the same call may succeed later."""

    code = "unavailable"
    retryable = True


class RefusedError(EngineError):
    """A rule, a limit or missing credentials forbid this; a person must change something first."""

    code = "refused"
