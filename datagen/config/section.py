"""What all sections of the settings share: names that stand for something, strictness."""

import re
from keyword import iskeyword
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

EMBEDDED: Final = "embedded"
"""Name that stands for the reasoner that ships with this package."""

BUNDLED: Final = "bundled"
"""Name that stands for the seeds that ship with this package."""

NONE: Final = "none"
"""Name that stands for no source at all."""

AUTO: Final = "auto"
"""Of code seeds: those that ship with this package if the other seeds do too, else none."""

_REFERENCE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_OWN_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def reference(text: str) -> str:
    """The text, if it has the form ``module:name``; ``ValueError`` if not."""
    if not _REFERENCE.fullmatch(text):
        raise ValueError('name code as "module:name", such as "mylab.engine:open_engine"')
    return text


def _own_name(text: str) -> str:
    if not _OWN_NAME.fullmatch(text) or iskeyword(text):
        raise ValueError("use a name of a to z, 0 to 9 and _ that could be one of Python's")
    return text


Reference = Annotated[str, AfterValidator(reference)]
"""Code of the user's own, as :mod:`datagen.own_code` takes it."""

OwnName = Annotated[str, AfterValidator(_own_name)]
"""Name that the user gives to it."""


class Section(BaseModel):
    """One section: an unknown name is an error, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
