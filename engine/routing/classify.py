"""From the look of a request to the request class that the plan has weights for. Pure.

The nearest class in (log prompt tokens, log output tokens): twice as long weighs the same for short and long requests.
"""

import math
from collections.abc import Sequence
from typing import Final

from engine.domain.workload import RequestClass

# UTF-8 bytes per token of common byte-pair vocabularies on English text and code are 3 to 5 (we choose the middle).
# Bytes, not characters: scripts with three bytes a character also have about as many more tokens a character.
_BYTES_PER_TOKEN: Final = 4


def estimate_prompt_tokens(num_bytes: int) -> int:
    """Return about how many tokens a text of `num_bytes` has, at least 1; no tokenizer on the hot path."""
    return max(1, math.ceil(num_bytes / _BYTES_PER_TOKEN))


def compute_mean_output_tokens(classes: Sequence[RequestClass]) -> float:
    """Return the mean output length of the mix [tokens]; the plain mean when the shares sum to 0."""
    total = sum(item.share for item in classes)
    if total <= 0.0:
        return sum(item.output_tokens for item in classes) / len(classes)
    return sum(item.share * item.output_tokens for item in classes) / total


def classify(
    classes: Sequence[RequestClass], *, prompt_tokens: int, max_output_tokens: int | None
) -> RequestClass | None:
    """Return the class that a request is most like; the first of equals, None when there are no classes.

    Args:
        prompt_tokens: estimated prompt length [tokens], >= 1.
        max_output_tokens: the caller's limit, taken as what will come [tokens], >= 1; None = the mix's mean.
    """
    if not classes:
        return None
    expected = compute_mean_output_tokens(classes) if max_output_tokens is None else max_output_tokens
    return min(classes, key=lambda item: _square_distance(item, prompt_tokens, expected))


def _square_distance(item: RequestClass, prompt_tokens: float, output_tokens: float) -> float:
    prompt = math.log(prompt_tokens / item.prompt_tokens)
    output = math.log(output_tokens / item.output_tokens)
    return prompt * prompt + output * output
