"""What all sections of the settings share: names that stand for something, strictness."""

from typing import Final

from pydantic import BaseModel, ConfigDict

EMBEDDED: Final = "embedded"
"""Name that stands for the reasoner that ships with this package."""

BUNDLED: Final = "bundled"
"""Name that stands for the seeds that ship with this package."""

NONE: Final = "none"
"""Name that stands for no source at all."""

AUTO: Final = "auto"
"""Of code seeds: those that ship with this package if the other seeds do too, else none."""


class Section(BaseModel):
    """One section: an unknown name is an error, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
