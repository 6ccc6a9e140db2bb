"""What the embedded reasoner learns of code: the narrator's thoughts about functions of its world.

The narrator makes no mistakes; those that the reasoner makes are its own. Only the thoughts that it
is to revise are spoilt here on purpose.
"""

import random
import re
from collections.abc import Sequence
from typing import Final

from datagen.code.execution import Execution, trace_trusted
from datagen.code.happenings import render_execution
from datagen.code.narrator import NarratorStyle, narrate
from datagen.factors.taxonomy import Factor
from datagen.prompts.code import (
    MAX_REASONS,
    ThoughtJob,
    code_prompt,
    output_question,
    thought_prompt,
    value_reason,
)
from datagen.prompts.native import QUESTION
from datagen.reasoner.functions import Function, draw_function
from datagen.traces.markup import THINK_END, THINK_START, render_thought
from datagen.traces.model import Step

_JOBS: Final = ("solve", "bare", "thought", "grounded", "revise", "output")
_SHARES: Final = (24, 10, 21, 15, 24, 6)
_EQUATION = re.compile(r"(\w+) = (-?\d+)(?=,|$)")
_RETURNED = re.compile(r"(\w+\([^()]*\)) returns (-?\d+)$")


def code_document(rng: random.Random) -> tuple[str, str]:
    """One training document as ``(prompt, completion)``, without an end token."""
    function = draw_function(rng)
    executions = trace_trusted(function.code, function.calls[:2])
    style = NarratorStyle(restate=rng.random() < 0.5, one_plan=rng.random() < 0.3)
    steps = narrate(function.question, executions, entry_point=function.name, style=style)
    thought = render_thought(steps).removeprefix(THINK_START) + THINK_END
    job = rng.choices(_JOBS, _SHARES)[0]
    match job:
        case "solve":
            return f"{QUESTION}{function.question}\n", f"{THINK_START}{thought}{function.code}"
        case "bare":
            return code_prompt(function.question), function.code
        case "output":
            return _output(function, executions[0], steps)
        case "thought":
            given = ThoughtJob(function.question, function.code)
        case "grounded":
            run = render_execution(executions[0])
            given = ThoughtJob(function.question, function.code, run)
        case _:
            run = render_execution(executions[0]) if rng.random() < 0.5 else ""
            failed, reasons = _spoilt(steps, rng)
            given = ThoughtJob(function.question, function.code, run, failed, reasons)
    return thought_prompt(given), thought


def _output(function: Function, execution: Execution, steps: Sequence[Step]) -> tuple[str, str]:
    """Predict what a call returns: the thought's walk through the run, and the value."""
    kept = (Factor.TRY_EXAMPLE, Factor.SIMULATE_EXECUTION, Factor.CHECK_RESULT)
    walk = tuple(step for step in steps if step.factor in kept)
    prompt = f"{QUESTION}{output_question(function.code, execution.call)}\n"
    return prompt, f"{render_thought(walk)}{THINK_END}{execution.returned}"


def _spoilt(steps: Sequence[Step], rng: random.Random) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The thought with false values, which are carried on or not, and what is wrong with it."""
    spots = [
        (idx, match)
        for idx, step in enumerate(steps)
        if step.factor in (Factor.SIMULATE_EXECUTION, Factor.CHECK_RESULT)
        for match in (*_EQUATION.finditer(step.text), *_RETURNED.finditer(step.text))
    ]
    begin = rng.randrange(len(spots))
    subject, carried = spots[begin][1].group(1), rng.random() < 0.7
    shift = rng.choice((-10, -3, -2, -1, 1, 2, 3, 10))
    wrong = [spots[begin]]
    if carried:
        wrong += [s for s in spots[begin + 1 :] if s[1].re is _RETURNED or s[1].group(1) == subject]
    texts = [step.text for step in steps]
    for idx, match in reversed(wrong):  # from the back, so that earlier positions stay true
        start, end = match.span(2)
        texts[idx] = f"{texts[idx][:start]}{int(match.group(2)) + shift}{texts[idx][end:]}"
    reasons = [
        value_reason(texts[idx], match.group(1), match.group(2), str(int(match.group(2)) + shift))
        for idx, match in wrong
    ]
    failed = tuple(
        Step(text, step.factor, step.provenance) for text, step in zip(texts, steps, strict=True)
    )
    return failed, tuple(reasons[:MAX_REASONS])
