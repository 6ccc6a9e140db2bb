"""Publishing: a local folder laid out as a Hugging Face dataset repository, with its card.

The folder loads like the repository that it becomes when it is uploaded as it is.
"""

from datagen.publish.lineage import Lineage, SeedSource, seed_sources
from datagen.publish.repository import Repository, write_repository

__all__ = ["Lineage", "Repository", "SeedSource", "seed_sources", "write_repository"]
