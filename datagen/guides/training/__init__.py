"""Trains guides on the pipeline's own datasets: two heads on ``policy_value``, a PRM on ``prm``."""

from datagen.guides.training.fitting import Schedule
from datagen.guides.training.prm import PrmReport, train_prm
from datagen.guides.training.rows import read_rows
from datagen.guides.training.two_heads import TwoHeadsReport, train_two_heads

__all__ = [
    "PrmReport",
    "Schedule",
    "TwoHeadsReport",
    "read_rows",
    "train_prm",
    "train_two_heads",
]
