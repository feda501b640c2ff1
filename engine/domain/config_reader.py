"""Typed access to the keys of a model's `config.json`, with errors that name the key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.errors import InvalidInputError

_LARGEST: Final = 100_000_000  # more is a broken file, not a model
_REMEDY: Final = "give the complete config.json that the model is published with"


class InvalidModelConfigError(InvalidInputError):
    """A `config.json` cannot be used; `field` is its key that is missing or wrong."""

    code = "invalid_model_config"


def refuse_config(field: str, message: str, remedy: str = _REMEDY) -> InvalidModelConfigError:
    """Return the error that names a key of the file."""
    return InvalidModelConfigError(f"config.json: {field} {message}", field=field, remedy=remedy)


@dataclass(frozen=True, slots=True)
class ConfigReader:
    """Typed access to a config's keys; null is the same as missing, as in Hugging Face's own reader."""

    config: Mapping[str, object]

    def find_int(self, field: str, *, smallest: int = 1, largest: int = _LARGEST) -> int | None:
        """Return a whole number, None when the key is missing or null."""
        value = self.config.get(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise refuse_config(field, f"is {value!r}, not a whole number")
        if not smallest <= value <= largest:
            raise refuse_config(field, f"is {value}, not between {smallest} and {largest}")
        return value

    def get_int(self, field: str, *, smallest: int = 1, largest: int = _LARGEST) -> int:
        """Return a whole number that must be there."""
        value = self.find_int(field, smallest=smallest, largest=largest)
        if value is None:
            raise refuse_config(field, "is missing")
        return value

    def get_bool(self, field: str, *, default: bool) -> bool:
        """Return a truth value, `default` when the key is missing or null."""
        value = self.config.get(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise refuse_config(field, f"is {value!r}, not true or false")
        return value

    def get_list(self, field: str) -> Sequence[object]:
        """Return a list, empty when the key is missing or null."""
        value = self.config.get(field)
        if value is None:
            return ()
        if not isinstance(value, (list, tuple)):
            raise refuse_config(field, f"is {value!r}, not a list")
        return value
