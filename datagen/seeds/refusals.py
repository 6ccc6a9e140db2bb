"""A refused row: which field, why, and what it looked like.

The surprising fact: a refusal is an exception and a value at once. Checks raise it, so that they
read top down; readers that already hold a broken line yield it, so that one bad line never ends
the iteration that it came from.
"""

from collections import Counter
from typing import Final

import polars as pl

from datagen.errors import SeedError
from datagen.seeds.references import Reference
from schemas import Quarantine

PREVIEW_CHARS: Final = 200

TAKEN: Final = "taken"
"""Kind of the refusal of a row that another shard has; there is nothing wrong with it."""


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


class RefusedRows:
    """The refused rows of one source, in the order in which they were added."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._rows: list[dict[str, object]] = []
        self._kinds = Counter[str]()

    def add(self, row_idx: int, seed_id: str | None, refused: Refused) -> None:
        """Note one refusal; ``seed_id`` is ``None`` where the row has no readable one."""
        self._kinds[f"{refused.field or 'row'}: {refused.kind}"] += 1
        self._rows.append(
            {
                "source": self._source,
                "row_idx": row_idx,
                "seed_id": seed_id,
                "field": refused.field,
                "reason": refused.reason,
                "preview": refused.preview,
            }
        )

    def frame(self) -> pl.DataFrame:
        """Table ``quarantine``."""
        return Quarantine.from_rows(self._rows)

    def refuse_nothing_usable(self, reference: Reference) -> None:
        """Refuse a source that holds these rows and no other, unless it merely came twice.

        Raises:
            SeedError: counts the reasons.
        """
        if not self._rows or set(self._kinds) != {f"seed_id: {TAKEN}"}:
            raise self._nothing_usable(reference)

    def _nothing_usable(self, reference: Reference) -> SeedError:
        if not self._rows:
            return SeedError(f"{reference.text!r} holds no row; write at least one")
        counts = ", ".join(f"{n} × {kind}" for kind, n in self._kinds.most_common())
        first = self._rows[0]
        return SeedError(
            f"{reference.text!r}: none of {len(self._rows)} rows is usable ({counts}); "
            f"row {first['row_idx']}: {first['reason']}"
        )
