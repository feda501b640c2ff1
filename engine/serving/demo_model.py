"""Make the local demo model: a small Llama with random weights, its tokenizer and a chat template.

Runs under the serving environment's Python: `python -P -m engine.serving.demo_model OUT_DIR`. What it writes does not
make sense to read, but it is a real model to every program that serves it. The folder appears complete or not at all.
"""

import argparse
import importlib
import json
import logging
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger("engine.serving.demo_model")
_COMPLETE: Final = "medley-model.json"  # written last, with the recipe's version
_RECIPE_VERSION: Final = 1
_SEED: Final = 0
_NUM_TRAINING_FILES: Final = 150
_SPECIAL_TOKENS: Final = ("<|pad|>", "<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>", "<|system|>")
_CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Sizes of the model; the defaults are the preset `demo` (32.0 M parameters, 64 MB)."""

    vocab_size: int = 8192
    hidden_size: int = 512
    num_layers: int = 8
    num_heads: int = 8
    num_kv_heads: int = 4
    ffn_size: int = 1408
    max_position: int = 8192


def is_complete(out_dir: Path) -> bool:
    """Return whether the folder holds a model of this recipe."""
    try:
        data = json.loads((out_dir / _COMPLETE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return bool(data == {"recipe_version": _RECIPE_VERSION})


def make_demo_model(out_dir: Path, *, shape: ModelShape) -> None:
    """Write the model to `out_dir`, unless it is already complete there."""
    if is_complete(out_dir):
        return
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    work_dir = Path(tempfile.mkdtemp(prefix=".demo-model-", dir=out_dir.parent))
    try:
        vocab_size = _save_tokenizer(work_dir, shape)
        _save_weights(work_dir, shape, vocab_size)
        (work_dir / _COMPLETE).write_text(json.dumps({"recipe_version": _RECIPE_VERSION}))
        work_dir.chmod(0o755)
        shutil.rmtree(out_dir, ignore_errors=True)
        work_dir.replace(out_dir)
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)


def _read_training_texts() -> Iterator[str]:
    """Yield the standard library's own sources: text that every machine with Python has."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.glob("*.py"))[:_NUM_TRAINING_FILES]:
        yield path.read_text(errors="ignore")


def _save_tokenizer(folder: Path, shape: ModelShape) -> int:
    """Train a byte-level BPE tokenizer, save it and return its vocabulary size."""
    tokenizers = importlib.import_module("tokenizers")  # in the serving environment only
    transformers = importlib.import_module("transformers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=shape.vocab_size,
        special_tokens=list(_SPECIAL_TOKENS),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_read_training_texts(), trainer)
    pad, bos, eos = _SPECIAL_TOKENS[:3]
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, bos_token=bos, eos_token=eos, model_max_length=shape.max_position
    )
    fast.chat_template = _CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return len(fast)


def _save_weights(folder: Path, shape: ModelShape, vocab_size: int) -> None:
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    torch.manual_seed(_SEED)
    config = transformers.LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.ffn_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        max_position_embeddings=shape.max_position,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.generation_config.do_sample = False
    model.save_pretrained(folder)


def main() -> int:
    """Make the model named on the command line."""
    parser = argparse.ArgumentParser(description="Make Medley's local demo model")
    parser.add_argument("out_dir", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_demo_model(arguments.out_dir, shape=ModelShape())
    _LOG.info("demo model is in %s", arguments.out_dir)
    return 0


if __name__ == "__main__":
    sys.exit(main())
