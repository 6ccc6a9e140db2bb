"""Summaries by rule, for thoughts of models that cannot be asked for one.

This is no abstract: nothing is rephrased, and nobody understood the thought. Goal or plan, the
results and the answer are picked out of the steps by their thought factors, each cut to its first
sentence, and set in a fixed form: *Plan: take 18, add 5x3. Found: 48-18=30; 30+15=45. The answer is
45.* Where there is no room for all of it, the answer is kept first, then the plan, then the goal,
then results from the last one back.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from datagen.factors.taxonomy import Factor
from datagen.summaries.check import n_words
from datagen.traces.model import Step, Trace
from datagen.traces.sentences import sentence_cuts

_PLANS: Final = (Factor.PLAN, Factor.DECOMPOSE, Factor.RECALL_METHOD, Factor.SET_SUBGOAL)
_RESULTS: Final = frozenset(
    {
        *(Factor.COMPUTE, Factor.DEDUCE, Factor.SIMULATE_EXECUTION, Factor.CORRECT_ERROR),
        *(Factor.CONSOLIDATE, Factor.BACKWARD_CHAIN),
    }
)
_TAKES_BACK: Final = frozenset({Factor.DETECT_ERROR, Factor.BACKTRACK, Factor.SWITCH_APPROACH})
_MOST_RESULTS: Final = 4


def extract_summary(trace: Trace, *, max_words: int, states_answer: bool) -> str | None:
    """Pick a summary out of the steps.

    Args:
        trace: a finished trace.
        max_words: most words.
        states_answer: whether the last sentence gives the answer.

    Returns:
        ``None`` if nothing fits.
    """
    answer = f"The answer is {_bare(trace.answer or '')}." if states_answer else ""
    room = max_words - n_words(answer)
    if room < 0:
        return None
    plan = goal = ""
    for factor in _PLANS:
        if not plan and (words := _first(trace, factor)) and n_words(words) < room:
            plan, room = words, room - n_words(words) - 1
    if (words := _first(trace, Factor.RESTATE_GOAL)) and n_words(words) < room:
        goal, room = words, room - n_words(words) - 1
    results: list[str] = []
    for words in islice(_results(trace), _MOST_RESULTS):
        # The word before all results.
        if words not in results and n_words(words) < room:
            results.insert(0, words)
            room -= n_words(words)
    parts = [
        f"Goal: {goal}." if goal else "",
        f"Plan: {plan}." if plan else "",
        f"Found: {'; '.join(results)}." if results else "",
        answer,
    ]
    return " ".join(filter(None, parts)) or None


def _first(trace: Trace, factor: Factor) -> str:
    """First sentence of the first step of ``factor``; empty without one."""
    return next((_sentence(s.text) for s in trace.steps if s.factor is factor), "")


def _results(trace: Trace) -> Iterator[str]:
    """What was found and not taken back by the step behind it, from the last on."""
    following: Step | None = None
    for step in reversed(trace.steps):
        taken_back = following is not None and following.factor in _TAKES_BACK
        if step.factor in _RESULTS and not taken_back and (words := _sentence(step.text)):
            yield words
        following = step


def _sentence(text: str) -> str:
    """The first sentence on one line, without its full stop."""
    text = text.strip()
    return _bare(text[: next(sentence_cuts(text), len(text))])


def _bare(text: str) -> str:
    return " ".join(text.split()).rstrip(".;:, ")
