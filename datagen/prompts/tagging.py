r"""How a model is asked which thought factor a step performs: a choice, never free text.

A model in its own markup is not asked a new question. By Bayes' rule the posterior over tags is the
prior that it gives each tag in this state, times how probable it finds the step behind that tag;
both it can say without having been trained to tag. A model that follows instructions is shown the
step between its neighbours and begins to answer with a bracket, as in
:func:`datagen.prompts.instruct.prior_request`.
"""

import re
from collections.abc import Sequence
from math import exp, isnan, log
from typing import Final, cast

from datagen.engines.protocol import (
    Answer,
    Chat,
    Choice,
    ChoiceRequest,
    Message,
    Request,
    Score,
    ScoreRequest,
)
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.prompts import native, tag_lines
from datagen.prompts.tag_lines import opening
from datagen.traces.markup import end_tag, escape, start_tag
from datagen.traces.model import Trace

_N_AROUND: Final = 3
"""Steps in view before the one in question, and behind it."""

_MARK: Final = re.compile("(?<=<)(?=<<)|(?<=>)(?=>>)")

_LEAST: Final = 1e-9
"""Probability of a tag that the engine does not report at all."""

TASK: Final = (
    """\
Below are a question and some successive steps of somebody's thoughts on it. Say what kind of step \
the one between >>> and <<< is: what it does for the thought, not which words it uses. These are \
the kinds:

"""
    + "\n".join(
        f"{opening(factor)} {factor.definition}, e.g. {factor.example}" for factor in ACTIONS
    )
    + """

Answer with one name in square brackets and nothing else.

Question:
"""
)
"""What stands before the question and the steps."""


def instruct_requests(trace: Trace, step_idx: int) -> list[Request]:
    """Ask an instruct model; one choice over all factors."""
    around = range(max(0, step_idx - _N_AROUND), min(len(trace.steps), step_idx + _N_AROUND + 1))
    shown = "\n".join(
        f">>> {text} <<<" if idx == step_idx else text
        for idx in around
        for text in [_quoted(trace.steps[idx].text)]
    )
    chat = Chat((Message("user", f"{TASK}{_quoted(trace.question)}\n\nSteps:\n{shown}"),), "[")
    return [ChoiceRequest(chat, tuple(opening(factor).removeprefix("[") for factor in ACTIONS))]


def _quoted(text: str) -> str:
    """The text with nothing in it that reads as a tag, or as a mark of the step in question."""
    return _MARK.sub("\\\\", tag_lines.escape(text))


def read_instruct(answers: Sequence[Answer]) -> dict[Factor, float]:
    """Posterior over :data:`ACTIONS`; uniform if the server tells no probabilities."""
    (choice,) = answers
    mass = cast(Choice, choice).probabilities
    total = sum(mass)
    flat = 1 / len(ACTIONS)
    return {f: p / total if total else flat for f, p in zip(ACTIONS, mass, strict=True)}


def native_requests(trace: Trace, step_idx: int) -> list[Request]:
    """Ask for the prior in the state before the step, and for the step's score behind each tag."""
    state = trace.prefix(step_idx)
    prompt = native.prompt_of(state)
    text = escape(trace.steps[step_idx].text)
    tags = tuple(map(start_tag, ACTIONS))
    scores = [ScoreRequest(prompt + start_tag(f), text + end_tag(f)) for f in ACTIONS]
    return [ChoiceRequest(prompt, tags), *scores]


def read_native(answers: Sequence[Answer]) -> dict[Factor, float]:
    """Posterior over :data:`ACTIONS`, P(tag | state)·P(step | state, tag), normalised.

    It is uniform if the server tells no probabilities.
    """
    prior, *scores = answers
    weights = [
        log(max(p, _LEAST)) + sum(cast(Score, score).logprobs)
        for p, score in zip(cast(Choice, prior).probabilities, scores, strict=True)
    ]
    if any(map(isnan, weights)):
        return dict.fromkeys(ACTIONS, 1 / len(ACTIONS))
    peak = max(weights)
    mass = [exp(weight - peak) for weight in weights]
    return {factor: m / sum(mass) for factor, m in zip(ACTIONS, mass, strict=True)}
