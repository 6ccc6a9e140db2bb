"""Shards: the parts in which seeds arrive, each with a folder, a journal and a fate of its own.

The data flow: :mod:`sources` sees what arrived, :mod:`intake` copies it into the folders of new
shards, the pipeline makes each of them into tables, :mod:`accepted` keeps the tables of those that
passed every check, :mod:`refused` says why others did not, and the datasets are made of what was
accepted.
"""

from datagen.shards.accepted import accept, accepted_at, accepted_paths, accepted_tables
from datagen.shards.intake import Intake, put_aside, read_shards, take_in
from datagen.shards.places import MAIN, shard_folder, shard_names
from datagen.shards.refused import Refusal, refuse, refused_at
from datagen.shards.sources import Source, find_sources

__all__ = [
    "MAIN",
    "Intake",
    "Refusal",
    "Source",
    "accept",
    "accepted_at",
    "accepted_paths",
    "accepted_tables",
    "find_sources",
    "put_aside",
    "read_shards",
    "refuse",
    "refused_at",
    "shard_folder",
    "shard_names",
    "take_in",
]
