"""Seeds: human-written questions with their thought and answer, read from files and the Hub.

:func:`read_seeds` is the only entry; what it cannot use is in :attr:`SeedBatch.quarantine`, and
:func:`seed_trace` makes a row of its table a :class:`~datagen.traces.model.Trace`.
"""

from datagen.seeds.checks import refuse_shared_ids
from datagen.seeds.conversion import seed_trace
from datagen.seeds.reading import SeedBatch, read_seeds
from datagen.seeds.references import Format

__all__ = ["Format", "SeedBatch", "read_seeds", "refuse_shared_ids", "seed_trace"]
