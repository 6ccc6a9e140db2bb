"""The journal: every answer an engine ever gave, by content address; resuming is replay."""

from datagen.journal.store import Journal, journal_key

__all__ = ["Journal", "journal_key"]
