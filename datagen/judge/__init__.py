"""Judges: opinions on where a trace first goes wrong, from arithmetic and from a model.

A judge never sees the gold answer. Its votes are compared with what rollouts say
(:mod:`datagen.labels.consensus`), and the comparison is worth something only between opinions that
do not come from one source.
"""

from datagen.judge.checker import Check, check_step, checker
from datagen.judge.critique import CRITIQUE_SAMPLING, critique_judge
from datagen.judge.run import judge_traces
from datagen.judge.vote import Judge, Vote

__all__ = [
    "CRITIQUE_SAMPLING",
    "Check",
    "Judge",
    "Vote",
    "check_step",
    "checker",
    "critique_judge",
    "judge_traces",
]
