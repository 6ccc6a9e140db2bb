"""Joins tokens into text and tells where each one ends.

A character can be spread over several byte-level tokens, which then have no text of their own. So
tokens are joined piece by piece only where that gives what the tokenizer itself decodes.
"""

from typing import Any

import numpy as np


class TokenPieces:
    """Joins tokens of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._whole: dict[int, str | None] = {}

    def join(self, tokens: list[int], *, ends: frozenset[int]) -> tuple[str, tuple[int, ...]]:
        """The text without a closing end token, and each token's end offset."""
        kept = tokens[:-1] if tokens and tokens[-1] in ends else tokens
        pieces = [self._piece(token) for token in kept]
        text = self._tokenizer.decode(kept)
        if None not in pieces and "".join(p for p in pieces if p is not None) == text:
            offsets = [int(end) for end in np.cumsum([len(p or "") for p in pieces])]
        else:
            offsets = [
                min(len(self._tokenizer.decode(kept[: n + 1])), len(text)) for n in range(len(kept))
            ]
        if len(kept) < len(tokens):
            offsets.append(len(text))
        return text, tuple(offsets)

    def _piece(self, token: int) -> str | None:
        """The token's own text; ``None`` if it is not whole characters."""
        if token not in self._whole:
            piece = self._tokenizer.decode([token])
            self._whole[token] = None if "�" in piece else piece
        return self._whole[token]
