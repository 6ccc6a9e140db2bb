"""Trains the two-headed guide on the pipeline's own dataset ``policy_value``.

A process reward model needs none of this: Transformers' ``Trainer`` does it
(``docs/examples/train_prm.py``).
"""

from datagen.guides.training.fitting import Schedule
from datagen.guides.training.rows import read_rows
from datagen.guides.training.two_heads import TwoHeadsReport, train_two_heads

__all__ = [
    "Schedule",
    "TwoHeadsReport",
    "read_rows",
    "train_two_heads",
]
