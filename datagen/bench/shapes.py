"""Models that have a size and no weights, to measure engines at sizes that cannot be shipped.

vLLM fills them with random numbers. Such a model rarely ends a text or a step, so every sample
runs to its limit, and a search tree over it is all root rollouts and dead ends.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Final, Literal

from datagen.engines.registry import WEIGHTS

Shape = Literal["7b", "tiny"]

_SHAPES: Final[dict[Shape, dict[str, Any]]] = {
    # As Llama and Mistral of that size have it.
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 32_000,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "vocab_size": 1024,
    },
}
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def write_shape(shape: Shape, folder: Path) -> Path:
    """Write configuration and tokenizer into ``folder``, and return it.

    The tokenizer is the embedded reasoner's. It is padded with words that no text holds, so that
    every token that the model may draw has a text, and one that is read again as the same token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in WEIGHTS.iterdir():
        if path.suffix in (".json", ".jinja"):
            shutil.copy(path, folder)
    config = json.loads((WEIGHTS / "config.json").read_text(encoding="utf-8")) | _SHAPES[shape]
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    tokenizer = json.loads((WEIGHTS / "tokenizer.json").read_text(encoding="utf-8"))
    known: dict[str, int] = tokenizer["model"]["vocab"]
    # Added tokens that are not in the vocabulary as well would be numbered anew, behind it.
    known |= {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    known |= {_word(token): token for token in range(len(known), config["vocab_size"])}
    tokenizer["model"]["ignore_merges"] = True  # a word of the vocabulary is taken as it stands
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def _word(n: int) -> str:
    """A word for a number, with the mark of a space in front as byte-level vocabularies have it."""
    letters = ""
    for _ in range(5):
        n, digit = divmod(n, len(_LETTERS))
        letters = _LETTERS[digit] + letters
    return f"Ġq{letters}"
