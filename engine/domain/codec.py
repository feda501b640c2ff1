"""JSON form of the engine's frozen values: one place, strict both ways."""

from functools import cache
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from engine.errors import InvalidInputError

T = TypeVar("T")

_STRICT = ConfigDict(extra="forbid")


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(with_config(_STRICT)(cls) if not hasattr(cls, "__pydantic_config__") else cls)


def value_to_json(value: Any) -> Any:
    """Return plain JSON data (dicts, lists, strings, numbers) for a frozen engine value."""
    return _adapter(type(value)).dump_python(value, mode="json")


def json_to_value(cls: type[T], data: Any) -> T:
    """Return the value of type `cls` that `data` describes.

    Raises:
        InvalidInputError: unknown, missing or wrongly typed field; `field` names the first one.
    """
    try:
        value: T = _adapter(cls).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or cls.__name__
        raise InvalidInputError(
            f"{field}: {first['msg']}", field=field, remedy=f"give a value that fits {cls.__name__}.{field}"
        ) from error
    return value
