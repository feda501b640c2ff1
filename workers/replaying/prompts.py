"""Text of about so many tokens, for any byte-level BPE tokenizer."""

import random
from typing import Final

# Words that such tokenizers keep whole with the space before them, those trained on Python sources included.
_WORDS: Final = (
    "the", "a", "of", "to", "in", "is", "for", "and", "not", "or", "if", "with", "from", "as", "this", "that",
    "return", "self", "name", "value", "None", "True", "class", "import", "def", "list", "type", "set", "get", "line",
)  # fmt: skip


def make_prompt(num_tokens: int, rng: random.Random) -> str:
    """Return random words, one per token.

    Args:
        num_tokens: tokens wanted, >= 1; what a chat template adds comes on top.
        rng: makes prompts differ, so that no prefix cache answers them.
    """
    return " ".join(rng.choices(_WORDS, k=num_tokens))
