"""Rubrics: rewards of answers that nobody can check, kept apart from everything verified."""

from datagen.rubrics.run import Scored, score_rubrics

__all__ = ["Scored", "score_rubrics"]
