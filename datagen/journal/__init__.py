"""The journal: every answer an engine ever gave, by content address; resuming is replay."""

from datagen.journal.codec import journal_key
from datagen.journal.store import Journal

__all__ = ["Journal", "journal_key"]
