"""What readers hand on: rows with their numbers, either fields or a refusal.

The surprising fact: a reader knows nothing of seeds. It turns one container (lines, Parquet, a
Hugging Face dataset) into mappings; a dialect such as GSM8K's turns mappings into the fields of a
seed. So each dialect works in each container.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from datagen.seeds.refusals import Refused
from schemas import Verifier

Fields = Mapping[str, object]

Row = tuple[int, Fields | Refused]
"""0-based number in the source, and the row (for text: the physical line, blank lines counted)."""

REQUIRED_FIELDS: Final = ("question", "thought", "answer")
OPTIONAL_FIELDS: Final = ("seed_id", "verifier", "license", "source", "domain", "rubric", "meta")
SEED_FIELDS: Final = (*REQUIRED_FIELDS, *OPTIONAL_FIELDS)


@dataclass(frozen=True, slots=True)
class Annotation:
    """A calculation that the author wrote beside the text.

    Attributes:
        offset: where in the (cleaned) thought it stood.
        expression: what is calculated, e.g. ``48/2``.
        value: the result as the author gave it, e.g. ``24``. It may be false: people err.
    """

    offset: int
    expression: str
    value: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one family of sources writes a seed.

    Attributes:
        read: turns a source row into seed fields and annotations; may raise :class:`Refused`.
        required: the fields that a source row must have.
        license: of sources that do not say.
        verifier: of rows that do not say; ``None`` leaves it to the domain.
    """

    read: Callable[[Fields], tuple[Fields, tuple[Annotation, ...]]]
    required: tuple[str, ...]
    license: str = "unknown"
    verifier: Verifier | None = None


OWN: Final = Dialect(read=lambda fields: (fields, ()), required=REQUIRED_FIELDS)
"""Our own fields, as they are."""
