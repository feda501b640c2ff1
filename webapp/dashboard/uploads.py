"""Reading what a browser uploads, with errors that name the file."""

import json
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile

from engine.errors import InvalidInputError

_MAX_BYTES: Final = 64 * 2**20  # a trace of a million requests is half of it


class UnreadableUploadError(InvalidInputError):
    """The uploaded file cannot be read at all."""

    code = "unreadable_upload"


def read_text(file: "UploadedFile[Any]") -> str:
    """Return the text of an uploaded file.

    Raises:
        UnreadableUploadError: too large, or not UTF-8.
    """
    if file.size is None or file.size > _MAX_BYTES:
        raise _refuse(file, "is too large", f"give at most {_MAX_BYTES // 2**20} MiB")
    try:
        return bytes(file.read()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refuse(file, "is not text in UTF-8", "save it as UTF-8") from error


def read_json_object(file: "UploadedFile[Any]") -> dict[str, object]:
    """Return the JSON object in an uploaded file.

    Raises:
        UnreadableUploadError: too large, not JSON, or JSON of another kind.
    """
    try:
        value = json.loads(read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise _refuse(file, f"is not JSON ({error})", "give the config.json as it stands beside the weights") from error
    if not isinstance(value, dict):
        raise _refuse(file, "holds no JSON object", "give the config.json as it stands beside the weights")
    return value


def _refuse(file: "UploadedFile[Any]", problem: str, remedy: str) -> UnreadableUploadError:
    return UnreadableUploadError(f"file: {file.name} {problem}", field="file", remedy=remedy)
