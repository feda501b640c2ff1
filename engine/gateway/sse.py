"""Reading a stream of server-sent events while it passes: usage, first token, errors, end. No I/O.

Events are passed on whole and byte for byte. The only one that can be held back is the usage chunk which the gateway
asked for and the caller did not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

_EVENT_END: Final = re.compile(rb"\r?\n\r?\n")
_LONGEST_END: Final = 4  # bytes of the longest event end
_DONE: Final = b"[DONE]"
_ERROR_STARTS: Final = (b'{"error"', b'{"object":"error"')
_USAGE_MARKS: Final = (b'"usage":{', b'"usage": {')
_ROLE_MARK: Final = b'"role"'
_EMPTY_CHOICES: Final = (b'"choices":[]', b'"choices": []')
_SPOKEN_FIELDS: Final = ("content", "reasoning", "reasoning_content", "refusal", "tool_calls", "function_call")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the shard counted them."""

    prompt_tokens: int
    output_tokens: int


def find_usage(document: object) -> Usage | None:
    """Return the usage that an answer or a chunk reports."""
    usage = document.get("usage") if isinstance(document, Mapping) else None
    if not isinstance(usage, Mapping):
        return None
    prompt, output = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    if not isinstance(prompt, int) or not isinstance(output, int) or prompt < 0 or output < 0:
        return None
    return Usage(prompt_tokens=prompt, output_tokens=output)


def parse_json(data: bytes) -> object:
    """Return the decoded document; None when it is not JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


class StreamReader:
    """Follows one stream.

    Attributes:
        usage: the latest usage that went by.
        num_pieces: events that carried output.
        error_status: status of an error event, as a shard sends it when its engine dies; None without one.
        is_done: `[DONE]` went by.
    """

    def __init__(self, *, hides_usage: bool) -> None:
        self.usage: Usage | None = None
        self.num_pieces = 0
        self.error_status: int | None = None
        self.is_done = False
        self._hides_usage = hides_usage
        self._rest = b""

    @property
    def num_waiting_bytes(self) -> int:
        """Bytes of an event whose end has not come yet."""
        return len(self._rest)

    def feed(self, chunk: bytes) -> bytes:
        """Take what came from upstream and return what goes to the caller: whole events."""
        return b"".join([event for event in self._split(chunk) if self._take(event)])

    def finish(self) -> bytes:
        """Return what came after the last whole event."""
        rest, self._rest = self._rest, b""
        return rest

    def _split(self, chunk: bytes) -> list[bytes]:
        start, search_from = 0, max(0, len(self._rest) - _LONGEST_END)
        data = self._rest + chunk if self._rest else chunk
        events = []
        for match in _EVENT_END.finditer(data, search_from):
            events.append(data[start : match.end()])
            start = match.end()
        self._rest = data[start:]
        return events

    def _take(self, event: bytes) -> bool:
        """Note what the event says; return whether it is passed on."""
        data = _find_data(event)
        if not data:
            return True
        if data == _DONE:
            self.is_done = True
        elif data.startswith(_ERROR_STARTS):
            self.error_status = _read_error_status(data)
        elif any(mark in data for mark in _USAGE_MARKS):
            return self._take_usage(data)
        else:
            self._count(data)
        return True

    def _take_usage(self, data: bytes) -> bool:
        document = parse_json(data)
        found = find_usage(document)
        self.usage = found or self.usage
        if found is not None and isinstance(document, Mapping) and document.get("choices") == []:
            return not self._hides_usage
        self._count(data)
        return True

    def _count(self, data: bytes) -> None:
        if any(mark in data for mark in _EMPTY_CHOICES):
            return
        if self.num_pieces == 0 and _ROLE_MARK in data and _is_role_only(parse_json(data)):
            return
        self.num_pieces += 1


def _find_data(event: bytes) -> bytes | None:
    if event.startswith(b"data:"):
        return event[5:].strip()
    for line in event.splitlines():
        if line.startswith(b"data:"):
            return line[5:].strip()
    return None


def _read_error_status(data: bytes) -> int:
    document = parse_json(data)
    error = document.get("error", document) if isinstance(document, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) else 500


def _is_role_only(document: object) -> bool:
    """Tell whether a chat chunk only opens the message."""
    choices = document.get("choices") if isinstance(document, Mapping) else None
    if not isinstance(choices, list):
        return False
    return not any(_says_something(choice) for choice in choices)


def _says_something(choice: object) -> bool:
    if not isinstance(choice, Mapping) or not isinstance(choice.get("delta"), Mapping):
        return True
    spoken = any(choice["delta"].get(name) for name in _SPOKEN_FIELDS)
    return spoken or choice.get("finish_reason") is not None
