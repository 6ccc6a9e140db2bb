"""Reads a field that must be text, as written or not at all."""

import re
from typing import Final

from datagen.seeds.refusals import Refused, preview
from datagen.seeds.rows import Fields

_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def text_of(fields: Fields, name: str, max_chars: int) -> str:
    """The text in field ``name``, as written.

    Raises:
        Refused: if it is missing, no text, blank, too long or holds unprintable characters.
    """
    value = fields.get(name)
    if value is None:
        present = ", ".join(preview(key, 40) for key in list(fields)[:20])
        raise Refused(
            name,
            "missing",
            f"{name} is missing (the row has: {present}); add it, or say which column holds it "
            f"with mapping={{{name!r}: <column>}}",
        )
    if not isinstance(value, str):
        raise Refused(
            name,
            "wrong type",
            f"{name} is {preview(value, 40)}, of type {type(value).__name__}; write it as text",
            value,
        )
    if not value.strip():
        raise Refused(
            name, "empty", f"{name} is {preview(value, 40)!r}; write it, or drop the row", value
        )
    if len(value) > max_chars:
        raise Refused(
            name,
            "too long",
            f"{name} has {len(value)} characters, the limit is {max_chars}; "
            "shorten it or raise max_chars",
            value,
        )
    if bad := _FORBIDDEN.search(value):
        at, code = bad.start(), ord(bad[0])
        what = "the lone surrogate" if code >= 0xD800 else "the control character"
        raise Refused(
            name,
            "unprintable character",
            f"{name} holds {what} U+{code:04X} at character {at}; remove or replace it",
            value[max(0, at - 20) :],
        )
    return value


def optional_text(fields: Fields, name: str, default: str, max_chars: int) -> str:
    """The text in field ``name``, or ``default`` if the row has none.

    Raises:
        Refused: if there is something else.
    """
    return default if fields.get(name) is None else text_of(fields, name, max_chars)
