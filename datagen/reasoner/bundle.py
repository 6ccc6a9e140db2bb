"""Write the bundled seeds, of thoughts and of code: ``python -m datagen.reasoner.bundle``.

They stand in for human seeds, so that the pipeline can be tried with nothing at hand. No person
wrote them: each thought comes from the world's own writer, makes a mistake now and then, notices it
and repairs it, as people's thoughts do. Numbers of events are balanced, and the problem rides in
``meta``, where the oracle finds it. The functions are of kinds that the reasoner was never trained
on.
"""

import json
import random
from pathlib import Path
from typing import Final

from datagen.reasoner.functions import Function, unseen_functions
from datagen.reasoner.thoughts import Temper, write_trace
from datagen.reasoner.world import MAX_EVENTS, MIN_EVENTS, Problem, draw_problem
from datagen.traces.markup import render_thought

SEEDS: Final = Path(__file__).with_name("seeds.jsonl")
CODE_SEEDS: Final = Path(__file__).with_name("code_seeds.jsonl")
N_SEEDS: Final = 65
N_CODE_SEEDS: Final = 24
_RNG_SEED: Final = 20_000_003
_CODE_RNG_SEED: Final = 20_000_005


def bundled_seeds() -> str:
    """The file's text: one JSON object a line."""
    rng = random.Random(_RNG_SEED)
    temper = Temper(slip=0.12, notice=1.0, misgive=0.0)
    lines: list[str] = []
    for idx in range(N_SEEDS):
        problem = draw_problem(rng, n_events=MIN_EVENTS + idx % (MAX_EVENTS - MIN_EVENTS + 1))
        trace = write_trace(problem, rng, temper=temper)
        row = {
            "seed_id": f"world-{idx:03d}",
            "question": problem.question,
            "thought": render_thought(trace.steps),
            "answer": str(problem.answer),
            "domain": "math",
            "verifier": "numeric",
            "license": "Apache-2.0",
            "source": "datagen-world",
            "meta": {"problem": json.loads(problem.to_json())},
        }
        lines.append(json.dumps(row, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def bundled_code_seeds() -> str:
    """The file's text: one JSON object a line."""
    functions = unseen_functions(N_CODE_SEEDS, seed=_CODE_RNG_SEED)
    rows = (
        {"seed_id": f"world-code-{idx:03d}", **code_seed(function)}
        for idx, function in enumerate(functions)
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def code_seed(function: Function) -> dict[str, object]:
    """A function of the world in the fields of a code seed."""
    return {
        "question": function.question,
        "code": function.code,
        "entry_point": function.name,
        "tests": function.tests,
        "calls": list(function.calls),
        "license": "Apache-2.0",
        "source": "datagen-world",
    }


def problem_of(meta: str) -> Problem:
    """The world problem behind a bundled seed, from its ``meta`` column.

    Raises:
        ValueError: if the seed is not from this world.
    """
    fields = json.loads(meta)
    if "problem" not in fields:
        raise ValueError(f"no world problem in meta {meta[:80]!r}")
    return Problem.from_json(json.dumps(fields["problem"]))


if __name__ == "__main__":
    SEEDS.write_text(bundled_seeds(), encoding="utf-8")
    CODE_SEEDS.write_text(bundled_code_seeds(), encoding="utf-8")
