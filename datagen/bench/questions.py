"""Bare questions for the benchmarks, as table ``prefixes``: nothing of a thought is given."""

import random
from collections.abc import Iterable
from typing import Final

import polars as pl

from datagen.reasoner.world import MAX_EVENTS, MIN_EVENTS, Problem, draw_problem
from schemas import Prefix

_RNG_SEED: Final = 50_000_017


def world_problems(n: int) -> list[Problem]:
    """Problems of the embedded reasoner's world, easy to hard in turns; the first of more."""
    rng = random.Random(_RNG_SEED)
    n_kinds = MAX_EVENTS - MIN_EVENTS + 1
    return [draw_problem(rng, n_events=MIN_EVENTS + idx % n_kinds) for idx in range(n)]


def bare_prefixes(questions: Iterable[tuple[str, str, str]]) -> pl.DataFrame:
    """Table ``prefixes`` of bare questions.

    Args:
        questions: ``seed_id``, question and its numeric answer.
    """
    return Prefix.from_rows(
        {
            "prefix_id": f"{seed_id}@0",
            "seed_id": seed_id,
            "n_steps": 0,
            "n_seed_steps": 0,
            "question": question,
            "steps": [],
            "factors": [],
            "answer": answer,
            "verifier": "numeric",
        }
        for seed_id, question, answer in questions
    )
