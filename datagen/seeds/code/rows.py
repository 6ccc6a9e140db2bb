"""The fields of a code seed, and what a dialect that writes them differently must say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from datagen.seeds.refusals import Refused, preview
from datagen.seeds.rows import Fields

REQUIRED_FIELDS: Final = ("question", "code", "entry_point", "tests")
OPTIONAL_FIELDS: Final = ("prelude", "calls", "seed_id", "source", "license", "meta")
CODE_FIELDS: Final = (*REQUIRED_FIELDS, *OPTIONAL_FIELDS)


@dataclass(frozen=True, slots=True)
class CodeDialect:
    """How one family of sources writes a code seed.

    Attributes:
        read: turns a source row into our fields; may raise :class:`Refused`.
        required: the fields that a source row must have.
        license: of sources that do not say.
    """

    read: Callable[[Fields], Fields]
    required: tuple[str, ...]
    license: str = "unknown"


OWN: Final = CodeDialect(read=lambda fields: fields, required=REQUIRED_FIELDS)
"""Our own fields, as they are."""


def lines_of(fields: Fields, name: str) -> list[str]:
    """The texts in field ``name``: a string is one, a list of strings is as it is, null is none.

    Raises:
        Refused: if it is anything else.
    """
    value = fields.get(name)
    if value is None:
        return []
    items = cast(Sequence[object], value) if isinstance(value, list | tuple) else (value,)
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < len(items):
        raise Refused(
            name,
            "wrong type",
            f"{name} is {preview(value, 40)}; write it as text, or as a list of texts",
            value,
        )
    return texts
