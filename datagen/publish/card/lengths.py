"""Tokens of the longest rows, so that the card can say what ``max_length`` a trainer needs.

The surprising fact: only the rows with the most characters are tokenised. The row with the most
tokens is nearly always among them, and counting all would take longer than publishing.
"""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from datagen.publish.configs import CONFIGS

_TRIED: Final = 200
"""Rows of each config that are tokenised."""


def longest_tokens(tables: Mapping[str, pl.DataFrame], tokenizer: Any) -> dict[str, int]:
    """Count the tokens of each config's longest row.

    Conversations are counted in the tokenizer's chat template if it has one.

    Args:
        tables: config → table; those without rows are left out, and those of the user's own that
            have no column by a name that is read.
        tokenizer: of ``transformers``.
    """
    return {
        name: max(_count(row, tokenizer) for row in _longest(name, table))
        for name, table in tables.items()
        if table.height and all(_texts(table.row(0, named=True)))
    }


def _longest(config: str, table: pl.DataFrame) -> list[dict[str, Any]]:
    n_chars = table.select(n=CONFIGS[config].n_chars())["n"]
    return table[n_chars.arg_sort(descending=True).head(_TRIED)].to_dicts()


def _count(row: Mapping[str, Any], tokenizer: Any) -> int:
    """Tokens of the longest text that a row makes."""
    return max(len(_tokens(parts, tokenizer)) for parts in _texts(row))


def _tokens(parts: list[Any], tokenizer: Any) -> list[int]:
    if any(isinstance(part, list) for part in parts):
        messages: list[dict[str, str]] = [message for part in parts for message in part]
        if getattr(tokenizer, "chat_template", None):
            rendered = tokenizer.apply_chat_template(messages, tokenize=False)
            return tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"]
        parts = [message["content"] for message in messages]
    return tokenizer("\n".join(parts), verbose=False)["input_ids"]


def _texts(row: Mapping[str, Any]) -> list[list[Any]]:
    """What a model reads of a row: several texts where it is a pair; each in its parts."""
    start: list[Any] = [row[name] for name in ("prompt", "question", "problem") if name in row][:1]
    if "messages" in row:
        return [[row["messages"]]]
    if "chosen" in row:
        return [[*start, row["chosen"]], [*start, row["rejected"]]]
    if "markup" in row:
        return [[*start, row["markup"]]]
    for name in ("completions", "steps"):
        if name in row:
            rest = [row[more] for more in ("tail", "code") if row.get(more)]
            return [[*start, *row[name], *rest]]
    return [[*start, *(row[name] for name in ("completion", "segment", "text") if name in row)]]
