"""Measure the embedded reasoner and write its model card: ``python -m datagen.reasoner.evaluate``.

Problems are drawn from a seed that neither training nor the bundled seeds use; any question that a
bundled seed asks is left out. Solve rates are per number of events, and the oracle says what kind
of mistake the first error of each wrong trace is.
"""

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from transformers import PreTrainedTokenizerFast

from datagen.engines.protocol import CompletionRequest, Sampling
from datagen.engines.registry import WEIGHTS
from datagen.engines.transformers import TransformersEngine
from datagen.judge import CRITIQUE_SAMPLING
from datagen.labels.monte_carlo import wilson
from datagen.prompts.critique import critique_prompt, read_critique
from datagen.prompts.native import prompt_of, read_rollout
from datagen.reasoner.bundle import bundled_seeds
from datagen.reasoner.evaluate_code import CodeScore, score_code
from datagen.reasoner.oracle import first_error, is_correct, judge_trace
from datagen.reasoner.world import MAX_EVENTS, MIN_EVENTS, Problem, draw_problem
from datagen.traces.model import Trace

_RNG_SEED: Final = 30_000_001
_EVERY: Final = 3
"""One in so many sampled traces is criticised for the card."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One trace of one problem.

    Attributes:
        problem: the problem.
        correct: whether the answer is right.
        mistake: kind of the first error that the trace does not repair; ``None`` without one.
        trace: the trace, if it came to an answer.
        first_error: by the oracle, -1 for none.
        repaired: whether it holds a wrong step and yet ends with a sound state.
    """

    problem: Problem
    correct: bool
    mistake: str | None
    trace: Trace | None
    first_error: int
    repaired: bool


def unseen_problems(n_per_size: int, *, seed: int = _RNG_SEED) -> list[Problem]:
    """``n_per_size`` problems for each number of events, none of them a bundled seed."""
    rng = random.Random(seed)
    bundled = bundled_seeds()
    problems: list[Problem] = []
    for n_events in range(MIN_EVENTS, MAX_EVENTS + 1):
        wanted = len(problems) + n_per_size
        while len(problems) < wanted:
            problem = draw_problem(rng, n_events=n_events)
            if problem.question not in bundled:
                problems.append(problem)
    return problems


def attempt(
    engine: TransformersEngine, problems: Sequence[Problem], *, temperature: float, n_samples: int
) -> list[Attempt]:
    """Let the reasoner solve each problem ``n_samples`` times, and ask the oracle about it."""
    sampling = Sampling(temperature=temperature)
    asked = [
        (problem, CompletionRequest(prompt_of(Trace(problem.question)), sampling, idx))
        for problem in problems
        for idx in range(n_samples)
    ]
    attempts: list[Attempt] = []
    for start in range(0, len(asked), engine.batch_size):
        batch = asked[start : start + engine.batch_size]
        completions = asyncio.run(engine.complete([request for _, request in batch]))
        for (problem, _), completion in zip(batch, completions, strict=True):
            reading = read_rollout(completion)
            truths = judge_trace(problem, reading.steps)
            error = first_error(problem, reading.steps)
            whole = reading.answer is not None and not reading.rest and reading.steps
            attempts.append(
                Attempt(
                    problem,
                    is_correct(problem, reading.answer),
                    truths[error].mistake if error >= 0 else None,
                    Trace(problem.question, reading.steps, reading.answer) if whole else None,
                    error,
                    repaired=error < 0 and not all(truth.ok for truth in truths),
                )
            )
    return attempts


@dataclass(frozen=True, slots=True)
class CritiqueScore:
    """How well the reasoner judges its own traces, greedily.

    Attributes:
        wrong: share of traces with an error of which it names the very step.
        right: share of traces without one that it calls right.
        unreadable: share of critiques that cannot be read.
        n: traces judged.
    """

    wrong: float
    right: float
    unreadable: float
    n: int


def criticise(engine: TransformersEngine, attempts: Sequence[Attempt]) -> CritiqueScore:
    """Let the reasoner criticise whole traces, and compare with the oracle."""
    judged = [(a.trace, a.first_error) for a in attempts if a.trace is not None]
    sampling = Sampling(temperature=0.0, max_tokens=CRITIQUE_SAMPLING.max_tokens)
    said: list[tuple[int | None, int]] = []
    for start in range(0, len(judged), engine.batch_size):
        batch = judged[start : start + engine.batch_size]
        asked = [CompletionRequest(critique_prompt(trace), sampling, 0) for trace, _ in batch]
        completions = asyncio.run(engine.complete(asked))
        said += [
            (read_critique(completion.text, trace).first_error, truth)
            for completion, (trace, truth) in zip(completions, batch, strict=True)
        ]
    wrong = [named == truth for named, truth in said if truth >= 0]
    right = [named == truth for named, truth in said if truth < 0]
    unreadable = sum(named is None for named, _ in said) / len(said)
    return CritiqueScore(sum(wrong) / len(wrong), sum(right) / len(right), unreadable, len(said))


def solve_rate(attempts: Sequence[Attempt]) -> float:
    """Share of attempts with the right answer."""
    return sum(attempt.correct for attempt in attempts) / len(attempts)


def card(
    greedy: Sequence[Attempt],
    sampled: Sequence[Attempt],
    critiques: CritiqueScore,
    code: CodeScore,
    n_tokens: int,
) -> str:
    """The model card in Markdown."""
    lines = [
        "| events | greedy | sampled at T=1 | sampled, 95 % interval |",
        "| ---: | ---: | ---: | --- |",
    ]
    for n_events in (*range(MIN_EVENTS, MAX_EVENTS + 1), None):
        of_size = [
            [a for a in attempts if n_events in (None, len(a.problem.events))]
            for attempts in (greedy, sampled)
        ]
        low, high = wilson(sum(a.correct for a in of_size[1]), len(of_size[1]))
        lines.append(
            f"| {n_events or 'all'} | {solve_rate(of_size[0]):.0%} | {solve_rate(of_size[1]):.0%} "
            f"| {low:.0%} to {high:.0%} |"
        )
    wrong = [a for a in sampled if not a.correct]
    kinds = Counter(a.mistake or "visible answer" for a in wrong)
    mistakes = "\n".join(
        f"| {kind} | {n / len(wrong):.0%} |"
        for kind, n in sorted(kinds.items(), key=lambda k: -k[1])
    )
    repaired = sum(a.repaired and a.correct for a in sampled)
    return _CARD.format(
        rates="\n".join(lines),
        n_tokens=n_tokens,
        n_greedy=len(greedy),
        n_sampled=len(sampled),
        mistakes=mistakes,
        repaired=f"{repaired / sum(a.correct for a in sampled):.0%}",
        n_critiques=critiques.n,
        critique_wrong=f"{critiques.wrong:.0%}",
        critique_right=f"{critiques.right:.0%}",
        critique_unreadable=f"{critiques.unreadable:.0%}",
        n_functions=code.n,
        code_thought=f"{code.thought:.0%}",
        code_grounded=f"{code.grounded:.0%}",
        code_with_thought=f"{code.with_thought:.0%}",
        code_bare=f"{code.bare:.0%}",
    )


_CARD: Final = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [chain-of-thought, synthetic, toy]
---

# The embedded reasoner

A language model of 2.0 million parameters (Llama architecture, 4 layers of width 192, {n_tokens}
tokens) that knows two small worlds: integer word problems about one quantity that changes two to
six times, and Python functions of a few lines. It thinks in thought-factor markup, makes real
mistakes, and sometimes notices and repairs them. Asked for a critique of a whole thought, it walks
over the steps, says for each equation what was due there, and names the first step that is wrong.
From a function it writes the thought that leads there, from a question the thought and then the
function, and a thought that a run has contradicted it writes anew.

**It is a toy.** It exists so that the pipeline can be tried, tested and benchmarked on a real model
without a GPU or a download. Nothing that it writes teaches a real model mathematics, and on
questions from elsewhere (GSM8K, say) its solve rate is near zero.

## How well it does

Unseen problems; {n_greedy} greedy and {n_sampled} sampled attempts.

{rates}

First error of the wrong traces sampled at T=1, as the world's oracle sees it:

| kind | share |
| --- | ---: |
{mistakes}

{repaired} of the right traces hold a wrong step that the reasoner itself repaired.
*misread*: a number copied wrongly; *operation*: another operation or running value than the
question asks for; *skip*: an event left out; *group*: one lot taken for all of them;
*givens*, *plan*: the givens or the plan listed wrongly; *visible answer*: a sound thought, but
another answer behind it, or markup that breaks off.

Its greedy critiques of {n_critiques} of these sampled traces name the oracle's first error exactly
in {critique_wrong} of the traces that have one, call {critique_right} of the others right, and
cannot be read in {critique_unreadable} of the cases.

Of {n_functions} unseen functions (of kinds that were kept out of training), sampled at T=1, first
writings only:

| job | share |
| --- | ---: |
| thought from code: every claim of it true | {code_thought} |
| the same with a run of the function in view | {code_grounded} |
| function from a question, after a thought of its own: passes its tests | {code_with_thought} |
| the same without a thought | {code_bare} |

A third of the questions that could leave a number open do so, and tell it only by two examples.

## How it was made

From scratch on two CPU cores, in bfloat16 autocast, with Muon for the matrices and AdamW for the
rest, by `python -m datagen.reasoner.train`. Nine stages, each going on from the one before. Stages
2 and 3 were in an easier world, with numbers up to 200; the share of events at which the teacher
makes a mistake was tuned by stages, to bring the sampled solve rate to between 50 and 70 %:

| stage | minutes | tokens | learning rate | numbers up to | teacher's mistakes |
| ---: | ---: | ---: | --- | ---: | ---: |
| 1 | 32 | 15 M | 0.01 | 400 | 8 % |
| 2 | 13 | 4 M | 0.01 | 200 | 6 % |
| 3 | 33 | 19 M | 0.01, over the last 60 % of the time falling to zero | 200 | 6 % |
| 4 | 9 | 8 M | 0.005, falling likewise | 400 | 8 % |
| 5 | 4 | 3 M | 0.003, falling likewise | 400 | 14 % |
| 6 | 38 | 12 M | 0.005, falling likewise; 45 % of the texts are critiques | 400 | 14 % |
| 7 | 24 | 15 M | 0.008, falling likewise; 50 % critiques | 400 | 14 % |
| 8 | 64 | 23 M | 0.01, falling likewise; 60 % code, 16 % critiques | 400 | 14 % |
| 9 | 17 | 12 M | 0.008, falling likewise; 30 % code, 35 % critiques | 400 | 14 % |

Stages 6 and 8 began with a new vocabulary, in which each token kept the embedding of the token of
the same text. One long stage was not tried; the falling learning rate is what matters most.

Texts are drawn without end from `datagen/reasoner/world.py` (problems),
`datagen/reasoner/thoughts.py` (thoughts), `datagen/reasoner/critiques.py` (critiques),
`datagen/reasoner/functions.py` (functions) and `datagen/reasoner/code_documents.py` (thoughts
about them, by the narrator of `datagen/code/narrator.py`, which makes no mistakes). The writer of
thoughts about word problems makes mistakes on purpose, at 14 % of the events, and notices half of
them: that is where the reasoner has both habits from. Thoughts that are criticised have more of
them. No human text and no other model was used.

Regenerate this card with `python -m datagen.reasoner.evaluate`.
"""


def main() -> None:
    """Command line: evaluate, print, and write the card beside the weights."""
    parser = argparse.ArgumentParser(description="Measure the embedded reasoner.")
    parser.add_argument("--model", type=Path, default=WEIGHTS)
    parser.add_argument("--problems", type=int, default=100, help="per number of events")
    parser.add_argument("--samples", type=int, default=4, help="per problem, at T=1")
    parser.add_argument("--functions", type=int, default=200, help="unseen functions")
    options = parser.parse_args()
    engine = TransformersEngine(str(options.model))
    problems = unseen_problems(options.problems)
    greedy = attempt(engine, problems, temperature=0, n_samples=1)
    sampled = attempt(engine, problems, temperature=1, n_samples=options.samples)
    n_tokens = len(PreTrainedTokenizerFast.from_pretrained(options.model))
    critiques = criticise(engine, sampled[::_EVERY])
    text = card(greedy, sampled, critiques, score_code(engine, options.functions), n_tokens)
    print(text)
    (options.model / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
