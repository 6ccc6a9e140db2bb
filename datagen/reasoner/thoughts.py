"""How a thought about a world problem is written: the text that the embedded reasoner learns from.

A thought is a walk over the events. What makes it worth learning is what goes wrong on purpose:
slips in arithmetic, wrong operations, misread numbers, skipped events and half-done groups, of
which about half are noticed at once and repaired. A policy that copies this text makes real
mistakes, and sometimes takes them back.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from datagen.factors.taxonomy import Factor
from datagen.reasoner.world import Event, Problem, apply_sign, plan_of
from datagen.traces.model import Step, Trace

Mistake = Literal["arithmetic", "operation", "misread", "skip", "group"]

_OTHER_SIGN: Final = {"+": "-", "-": "+", "*": "+", "/": "-"}


@dataclass(frozen=True, slots=True)
class Temper:
    """How a writer behaves; each field is a probability.

    Attributes:
        slip: of a mistake at an event.
        notice: of noticing a mistake that was just made.
        misgive: of listing the givens or the plan with one wrong entry.
        recheck: of checking a step that is right.
    """

    slip: float = 0.14
    notice: float = 0.5
    misgive: float = 0.03
    recheck: float = 0.15


FLAWLESS: Final = Temper(slip=0.0, notice=1.0, misgive=0.0, recheck=0.15)


def write_trace(problem: Problem, rng: random.Random, *, temper: Temper = FLAWLESS) -> Trace:
    """Write a whole thought with its answer, right or wrong as ``temper`` has it."""
    steps = list(_write_steps(problem, rng, temper))
    return Trace(problem.question, tuple(steps), answer=steps[-1].text)


def _write_steps(problem: Problem, rng: random.Random, temper: Temper) -> Iterator[Step]:
    if rng.random() < 0.6:
        yield Step(restate(problem, rng), Factor.RESTATE_GOAL)
    if rng.random() < 0.7:
        text = problem.givens
        yield Step(
            _misread_text(text, rng) if rng.random() < temper.misgive else text,
            Factor.EXTRACT_GIVENS,
        )
    if rng.random() < 0.45:
        plan = [*map(plan_of, problem.events)]
        if rng.random() < temper.misgive:
            wrong = rng.randrange(len(plan))
            plan[wrong] = _misread_text(plan[wrong], rng)
        yield Step(", ".join(plan), Factor.PLAN)

    value = problem.start
    event_idx = 0
    while event_idx < len(problem.events):
        event = problem.events[event_idx]
        mistake = _draw_mistake(problem, event_idx, rng) if rng.random() < temper.slip else None
        if mistake is None:
            yield from _compute(event, value, rng)
            value = event.apply(value)
            if rng.random() < temper.recheck:
                yield Step(f"{_inverse(event, value)}, fits", Factor.CHECK_STEP)
        else:
            wrong = _Wrong.make(problem, event_idx, value, mistake, rng)
            yield from wrong.steps
            if rng.random() < temper.notice:
                yield Step(wrong.complaint, Factor.DETECT_ERROR)
                yield Step(_equation(value, event.sign, event.operand), Factor.CORRECT_ERROR)
                value = event.apply(value)
            else:
                value, event_idx = wrong.value, event_idx + wrong.n_skipped
        event_idx += 1

    if rng.random() < 0.5:
        yield Step(consolidate(problem, value), Factor.CONSOLIDATE)
    yield Step(str(value), Factor.ANSWER)


def restate(problem: Problem, rng: random.Random) -> str:
    """The goal in the reasoner's words."""
    return rng.choice(
        (
            f"find how many {problem.item} {problem.name} has at the end",
            f"we need the number of {problem.item} after all changes",
            f"how many {problem.item} are left for {problem.name}",
        )
    )


def consolidate(problem: Problem, value: int) -> str:
    """The running result as a sentence."""
    return f"so {problem.name} has {value} {problem.item}"


def _equation(left: int, sign: str, right: int, result: int | None = None) -> str:
    return f"{left}{sign}{right}={apply_sign(left, sign, right) if result is None else result}"


def _compute(event: Event, value: int, rng: random.Random) -> Iterator[Step]:
    """The steps of one event, done right: a group's product first."""
    if event.grouped:
        first, second = event.groups, event.amount
        if rng.random() < 0.3:
            first, second = second, first
        yield Step(_equation(first, "*", second), Factor.COMPUTE)
    yield Step(_equation(value, event.sign, event.operand), Factor.COMPUTE)


def _inverse(event: Event, value: int) -> str:
    """The equation that undoes ``event`` from ``value``, as a check writes it."""
    undo = {"+": "-", "-": "+", "*": "/", "/": "*"}[event.sign]
    return _equation(value, undo, event.operand)


def _draw_mistake(problem: Problem, event_idx: int, rng: random.Random) -> Mistake:
    kinds: list[Mistake] = ["arithmetic", "arithmetic", "operation", "misread"]
    if problem.events[event_idx].grouped:
        kinds.append("group")
    if event_idx + 1 < len(problem.events):
        kinds.append("skip")
    return rng.choice(kinds)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A mistake at one event: what is written, what a watchful writer says, where it leads."""

    steps: tuple[Step, ...]
    complaint: str
    value: int
    n_skipped: int = 0

    @classmethod
    def make(
        cls, problem: Problem, event_idx: int, value: int, mistake: Mistake, rng: random.Random
    ) -> "_Wrong":
        event = problem.events[event_idx]
        sign, right = event.sign, event.operand
        product = list(_compute(event, value, rng))[:-1]  # a group's first step; empty otherwise
        n_skipped = 0
        match mistake:
            case "arithmetic":
                true = event.apply(value)
                result = _near(true, rng)
                complaint = f"wait, {value}{sign}{right} is not {result}"
            case "operation":
                sign = _OTHER_SIGN[sign]
                result = apply_sign(value, sign, right)
                complaint = f"wait, it is {event.sign}{right}"
            case "misread":
                product = []
                right = _near(right, rng)
                result = apply_sign(value, sign, right)
                complaint = f"wait, it is {event.operand}, not {right}"
            case "group":
                product = []
                right = event.amount
                result = apply_sign(value, sign, right)
                complaint = f"wait, it is {event.groups} times {event.amount}"
            case "skip":
                following = problem.events[event_idx + 1]
                product = list(_compute(following, value, rng))[:-1]
                sign, right = following.sign, following.operand
                result = apply_sign(value, sign, right)
                complaint = f"wait, {event.sign}{event.operand} was left out"
                n_skipped = 1
        equation = Step(_equation(value, sign, right, result), Factor.COMPUTE)
        return cls((*product, equation), complaint, result, n_skipped)


def _near(number: int, rng: random.Random) -> int:
    """Another number (positive, if ``number`` is) that a careless hand would write."""
    while True:
        near = number + rng.choice((-10, -2, -1, 1, 2, 10))
        if near > 0 or number <= 0:
            return near


def _misread_text(text: str, rng: random.Random) -> str:
    """``text`` with one of its digits changed."""
    digits = [i for i, character in enumerate(text) if character.isdigit()]
    at = rng.choice(digits)
    return text[:at] + rng.choice([d for d in "123456789" if d != text[at]]) + text[at + 1 :]
