"""What the gateway reads of a completion's body, and what it sends on. Pure.

Everything it does not read passes untouched: the shard validates its own fields and answers for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

from engine.gateway.errors import InvalidBodyError
from engine.routing import classify

Json: TypeAlias = Mapping[str, object]

_SEED: Final = "seed"
_STREAM_OPTIONS: Final = "stream_options"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A parsed request for a completion.

    Attributes:
        raw: the body as it came.
        fields: the same, decoded.
        wants_usage: the caller asked for the usage chunk at the end of the stream.
        prompt_tokens: estimated [tokens], >= 1.
        max_output_tokens: limit per sequence [tokens], >= 1; None when the caller set none.
        num_sequences: outputs that will come: prompts x `n`.
    """

    raw: bytes
    fields: Json
    model: str
    is_streaming: bool
    wants_usage: bool
    prompt_tokens: int
    max_output_tokens: int | None
    num_sequences: int

    @property
    def hides_usage(self) -> bool:
        """Whether the gateway asks for a usage chunk that the caller must not see."""
        return self.is_streaming and not self.wants_usage


def parse_completion(raw: bytes) -> Completion:
    """Return what routing and streaming must know of a body.

    Raises:
        InvalidBodyError: not a JSON object, or a field that decides the route has the wrong type.
    """
    fields = _load_object(raw)
    prompts = _list_prompts(fields)
    return Completion(
        raw=raw,
        fields=fields,
        model=_read_model(fields),
        is_streaming=_read_flag(fields, "stream", param="stream"),
        wants_usage=_wants_usage(fields),
        prompt_tokens=_estimate_prompt_tokens(prompts),
        max_output_tokens=_find_limit(fields),
        num_sequences=max(1, len(prompts)) * _read_n(fields),
    )


def build_upstream_body(completion: Completion, *, strips_seed: bool) -> bytes:
    """Return the body for a shard: the caller's own bytes unless something must change.

    A streaming caller who did not ask for usage is counted all the same: the gateway asks for the usage chunk.
    `continuous_usage_stats` is switched off then, for it would show in every chunk.
    """
    changed: dict[str, object] = {}
    if completion.hides_usage:
        options = completion.fields.get(_STREAM_OPTIONS)
        kept = dict(options) if isinstance(options, Mapping) else {}
        kept.pop("continuous_usage_stats", None)
        changed[_STREAM_OPTIONS] = kept | {"include_usage": True}
    drops_seed = strips_seed and _SEED in completion.fields
    if not changed and not drops_seed:
        return completion.raw
    fields = {**completion.fields, **changed}
    if drops_seed:
        del fields[_SEED]
    return orjson.dumps(fields)


def _load_object(raw: bytes) -> Json:
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidBodyError(f"the body is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidBodyError("the body must be a JSON object")
    return fields


def _read_model(fields: Json) -> str:
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidBodyError("model: give the name of a model as listed by /v1/models", param="model")
    return model


def _read_flag(fields: Json, name: str, *, param: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidBodyError(f"{param}: give true or false", param=param)
    return bool(value)


def _wants_usage(fields: Json) -> bool:
    options = fields.get(_STREAM_OPTIONS)
    if options is None:
        return False
    if not isinstance(options, Mapping):
        raise InvalidBodyError("stream_options: give an object", param=_STREAM_OPTIONS)
    return _read_flag(options, "include_usage", param="stream_options.include_usage")


def _find_limit(fields: Json) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
    return None


def _read_n(fields: Json) -> int:
    value = fields.get("n")
    return value if isinstance(value, int) and value > 1 else 1  # a wrong one is the shard's to refuse


def _list_prompts(fields: Json) -> list[object]:
    """Return one entry per prompt: the list of messages, a text, or a list of token ids."""
    if "messages" in fields:
        return [fields["messages"]]
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return prompt
    return [prompt]


def _estimate_prompt_tokens(prompts: Sequence[object]) -> int:
    """Return the length of the longest prompt, for prompts of one body are classed together."""
    return max((_estimate_tokens(prompt) for prompt in prompts), default=1)


def _estimate_tokens(prompt: object) -> int:
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], int):
        return len(prompt)
    return classify.estimate_prompt_tokens(_count_bytes(prompt))


def _count_bytes(content: object) -> int:
    """Return the UTF-8 length of all text in a prompt, a message's content or a list of either."""
    if isinstance(content, str):
        return len(content) if content.isascii() else len(content.encode())
    if isinstance(content, list):
        return sum(_count_bytes(item) for item in content)
    if isinstance(content, Mapping):
        return _count_bytes(content.get("content")) + _count_bytes(content.get("text"))
    return 0
