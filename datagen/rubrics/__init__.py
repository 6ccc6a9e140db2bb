"""Rubrics: rewards of answers that nobody can check, kept apart from everything verified."""

from datagen.rubrics.run import Scored, refuse_unscorable, score_rubrics

__all__ = ["Scored", "refuse_unscorable", "score_rubrics"]
