"""Gold answers that are JSON objects, as the verifiers of code use them."""

import json
from collections.abc import Mapping
from typing import Any, cast

Keys = Mapping[str, type | tuple[type, ...]]
"""Keys and the types of their values."""


def read_gold(gold: str, *, required: Keys, optional: Keys | None = None) -> dict[str, Any] | str:
    """The object of a gold answer, or what is wrong with it."""
    try:
        value = json.loads(gold)
    except (ValueError, RecursionError):
        return "the gold answer is not JSON"
    if not isinstance(value, dict):
        return "the gold answer is not a JSON object"
    fields = cast(dict[str, Any], value)
    for key in required:
        if key not in fields:
            return f"the gold answer lacks the key {key!r}"
    for key, kind in {**required, **(optional or {})}.items():
        if key in fields and not isinstance(fields[key], kind):
            return f"the gold answer's {key!r} is {type(fields[key]).__name__}"
    return fields
