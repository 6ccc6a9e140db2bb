"""A refused row: which field, why, and what it looked like.

The surprising fact: a refusal is an exception and a value at once. Checks raise it, so that they
read top down; readers that already hold a broken line yield it, so that one bad line never ends
the iteration that it came from.
"""

from typing import Final

PREVIEW_CHARS: Final = 200


class Refused(Exception):
    """A row that cannot become a seed.

    Attributes:
        field: the seed's field at fault, or the empty string where the row as a whole is.
        kind: a few fixed words to count refusals by, such as ``not UTF-8``.
        reason: a sentence that names the value and the fix.
        value: the offending value.
    """

    def __init__(self, field: str, kind: str, reason: str, value: object = "") -> None:
        super().__init__(reason)
        self.field = field
        self.kind = kind
        self.reason = reason
        self.preview = preview(value)


def preview(value: object, n_chars: int = PREVIEW_CHARS) -> str:
    """The first ``n_chars`` characters of ``value``, on one line, with the unprintable escaped."""
    match value:
        case str():
            head = value[:n_chars]
        case bytes():
            head = value[:n_chars].decode("utf-8", "backslashreplace")
        case None:
            return ""
        case _:
            head = repr(value)[:n_chars]
    return "".join(c if c.isprintable() else _escaped(c) for c in head)[:n_chars]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
