"""Export: rows in the exact shape that each kind of trainer reads, one file per consumer.

Every function takes tables of the pipeline and gives a table under its contract. The rows come in
the order of ``seed_id``, whatever the order of the input, so equal data gives equal files.
"""

from datagen.export.prm import export_prm
from datagen.export.raw_rollouts import export_raw_rollouts
from datagen.export.rl import export_rl
from datagen.export.sft import export_sft

__all__ = ["export_prm", "export_raw_rollouts", "export_rl", "export_sft"]
