"""Publishing: a local folder laid out as a Hugging Face dataset repository, with its card.

The folder loads like the repository that it becomes when it is uploaded as it is.
"""

from datagen.publish.card.lengths import longest_tokens
from datagen.publish.checks import Check, check_repository
from datagen.publish.curation import Curation, curation
from datagen.publish.lineage import Lineage, SeedSource, code_version, seed_sources
from datagen.publish.manifest import Manifest, read_manifest
from datagen.publish.repository import Repository, write_repository
from datagen.publish.review import Review

__all__ = [
    "Check",
    "Curation",
    "Lineage",
    "Manifest",
    "Repository",
    "Review",
    "SeedSource",
    "check_repository",
    "code_version",
    "curation",
    "longest_tokens",
    "read_manifest",
    "seed_sources",
    "write_repository",
]
