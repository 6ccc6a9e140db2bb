"""The questions of the benchmark: three sets that have no question in common.

Some have more events than any question that the reasoner was trained on. There is more to learn
there: on the others its most probable reply is nearly always right.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from datagen.reasoner.bundle import bundled_seeds
from datagen.reasoner.thoughts import write_trace
from datagen.reasoner.world import Problem, draw_problem
from datagen.seeds import read_seeds
from datagen.traces.markup import render_thought

_RNG_SEEDS: Final = {"train": 70_000_003, "dev": 70_000_009, "test": 70_000_027}


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions to learn from, to settle things on, and to measure on."""

    train: list[Problem]
    dev: list[Problem]
    test: list[Problem]


def draw_questions(n_train: int, n_dev: int, n_test: int, *, n_events: Sequence[int]) -> Questions:
    """Draw the three sets; no question is drawn twice, and none is a bundled seed's."""
    seen: set[str] = set()
    bundled = bundled_seeds()

    def draw(name: str, n: int) -> list[Problem]:
        rng, problems = random.Random(_RNG_SEEDS[name]), list[Problem]()
        while len(problems) < n:
            problem = draw_problem(rng, n_events=n_events[len(problems) % len(n_events)])
            if problem.question not in seen and problem.question not in bundled:
                seen.add(problem.question)
                problems.append(problem)
        return problems

    return Questions(draw("train", n_train), draw("dev", n_dev), draw("test", n_test))


def as_seeds(problems: Sequence[Problem], path: Path) -> pl.DataFrame:
    """Problems as the table ``seeds``, by way of a file, as the pipeline reads them.

    A seed needs a thought, so each gets a flawless one by the world's own writer. The benchmark
    uses none of them: neither as prefixes nor as rows to learn from.
    """
    rows = (
        {
            "seed_id": f"q{idx:04d}",
            "question": problem.question,
            "thought": render_thought(write_trace(problem, random.Random(idx)).steps),
            "answer": str(problem.answer),
            "domain": "math",
            "verifier": "numeric",
            "license": "Apache-2.0",
            "source": "datagen-world",
        }
        for idx, problem in enumerate(problems)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_seeds(path).seeds
