"""JSON form of the engine's frozen values: one place, strict both ways and at every depth."""

import json
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from engine.errors import InvalidInputError

T = TypeVar("T")


class _Adapters(dict[type[Any], TypeAdapter[Any]]):
    """Adapters by class, each built on first use."""

    def __missing__(self, cls: type[Any]) -> TypeAdapter[Any]:
        return self.setdefault(cls, TypeAdapter(cls))


_ADAPTERS: Final = _Adapters()


def value_to_json(value: Any) -> Any:
    """Return plain JSON data (dicts, lists, strings, numbers) for a frozen engine value."""
    return _ADAPTERS[type(value)].dump_python(value, mode="json")


def json_to_value(cls: type[T], data: Any) -> T:
    """Return the value of type `cls` that JSON data describes.

    Raises:
        InvalidInputError: unknown, missing or wrongly typed field at any depth; `field` names the first one.
    """
    try:
        # JSON mode is what lets strict types still take a list for a tuple and a string for an instant.
        value: T = _ADAPTERS[cls].validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise _refuse(cls, first["loc"], first["msg"]) from error
    unknown = _find_unknown(data, value_to_json(value))
    if unknown is not None:
        raise _refuse(cls, unknown, "unknown field")
    return value


def _refuse(cls: type[Any], path: Iterable[int | str], message: str) -> InvalidInputError:
    field = ".".join(str(part) for part in path) or cls.__name__
    return InvalidInputError(
        f"{field}: {message}", field=field, remedy=f"give a value that fits {cls.__name__}.{field}"
    )


def _find_unknown(data: Any, kept: Any) -> tuple[int | str, ...] | None:
    """Return the path of the first key of `data` that the value read from it did not keep."""
    if isinstance(data, dict):
        for key, part in data.items():
            if key not in kept:
                return (key,)
            if (path := _find_unknown(part, kept[key])) is not None:
                return (key, *path)
    if isinstance(data, (list, tuple)):
        for index, (part, other) in enumerate(zip(data, kept, strict=True)):
            if (path := _find_unknown(part, other)) is not None:
                return (index, *path)
    return None
