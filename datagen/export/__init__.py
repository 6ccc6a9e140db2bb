"""Export: rows in the exact shape that each kind of trainer reads, one file per consumer.

Every function takes tables of the pipeline and gives a table under its contract. The rows come in
the order of ``seed_id``, whatever the order of the input, so equal data gives equal files; only
those of ``kto`` and ``orm`` are shuffled, by a hash.
"""

from datagen.export.advantages import export_advantages
from datagen.export.critique import count_critiques, export_critique
from datagen.export.further import Export
from datagen.export.kto import export_kto
from datagen.export.orm import export_orm
from datagen.export.policy_value import export_policy_value
from datagen.export.preference import export_preference
from datagen.export.prm import export_prm
from datagen.export.processbench import export_processbench
from datagen.export.raw_rollouts import export_raw_rollouts
from datagen.export.rl import export_rl
from datagen.export.sft import export_sft
from datagen.export.step_preference import export_step_preference

__all__ = [
    "Export",
    "count_critiques",
    "export_advantages",
    "export_critique",
    "export_kto",
    "export_orm",
    "export_policy_value",
    "export_preference",
    "export_prm",
    "export_processbench",
    "export_raw_rollouts",
    "export_rl",
    "export_sft",
    "export_step_preference",
]
