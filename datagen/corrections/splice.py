"""Splice wrong branches into a right trace, each followed by what takes it back.

The nearest wrong attempts are chosen, up to four, how many being drawn at random, as Snell et al.
(2024, arXiv 2408.03314, section 6.1) do for chains of revisions; their edits are of characters,
ours of steps. They draw from 0 to 4, where 0 teaches to be right at once. Such a trace is among the
right traces already, so it is 1 to 4 here.
"""

import random
from collections.abc import Generator, Hashable, Iterator, Sequence
from typing import Final

from datagen.corrections.candidates import MENDING, Question, Whole
from datagen.corrections.joints import JointConfig, Tally, mend
from datagen.corrections.rows import Attempt, Draft, Story
from datagen.corrections.statements import statement
from datagen.engines.protocol import Answer, Request
from datagen.factors.taxonomy import Factor
from datagen.search.waves import BudgetSpent
from datagen.traces.distance import edit_distance, shared_steps

_NO_PART: Final = MENDING | {Factor.ANSWER}
"""Factors that no step of a wrong branch may have."""

_STATES_NOTHING_NEW: Final = frozenset({Factor.ANSWER, Factor.CHECK_STEP, Factor.CHECK_RESULT})
"""Factors of steps that no correction can take the place of, or that none is needed for."""


def splices(question: Question, *, max_attempts: int, max_rows: int) -> Iterator[Draft]:
    """Pair right traces with the wrong branches nearest to them; no branch is used twice."""
    pairs = [
        (not attempt.mendable, attempt.distance, idx, attempt)
        for idx, right in enumerate(question.right)
        for whole in question.wrong
        if (attempt := _branch(right, whole, question))
    ]
    pairs.sort(key=lambda pair: pair[:3])
    used: set[Hashable] = set()
    begun: set[int] = set()
    for *_, idx, nearest in pairs:
        if len(begun) == max_rows:
            return
        if idx in begun or _told(nearest) in used:
            continue
        right = question.right[idx]
        n = random.Random(right.name).randint(1, max_attempts)
        chosen: dict[int, Attempt] = {nearest.begin: nearest}
        for *_, other, attempt in pairs:
            fits = other == idx and attempt.begin not in chosen and _told(attempt) not in used
            if fits and len(chosen) < n:
                chosen[attempt.begin] = attempt
        begun.add(idx)
        used.update(map(_told, chosen.values()))
        yield Draft("splice", right, [chosen[begin] for begin in sorted(chosen)])


def _branch(right: Whole, whole: Whole, question: Question) -> Attempt | None:
    """The wrong branch of ``whole`` beside ``right``; ``None`` if it proves nothing."""
    error = whole.first_error
    begin = shared_steps(right.trace, whole.trace)
    # The policy itself must have taken the wrong turn, alone, and behind what a person wrote.
    if error is None or not max(whole.n_given, right.row["n_human_steps"]) <= begin <= error:
        return None
    branch = whole.steps[begin : error + 1]
    if begin >= len(right.steps) or any(step.factor in _NO_PART for step in branch):
        return None
    said, due = statement(branch[-1].text), right.steps[begin]
    if not said or said in question.true:
        return None
    mendable = (
        begin == error
        and _STATES_NOTHING_NEW.isdisjoint([branch[-1].factor, due.factor])
        and bool(statement(due.text))
    )
    distance = edit_distance(whole.trace, right.trace)
    return Attempt(whole, begin, error + 1, distance, mendable=mendable)


def _told(attempt: Attempt) -> Hashable:
    """What makes two attempts the same."""
    return attempt.whole.steps[: attempt.end]


def splice(
    draft: Draft, fingerprint: str, config: JointConfig, tally: Tally
) -> Generator[Sequence[Request], Sequence[Answer], Story]:
    """Write a draft; attempts whose joint fails are left out."""
    story, right = Story(draft, fingerprint), draft.right
    at = 0
    for attempt in draft.attempts:
        story.go_right(at, attempt.begin)
        at = attempt.begin
        branch = attempt.whole.steps[attempt.begin : attempt.end]
        due = right.steps[at] if attempt.mendable else None
        try:
            joint = yield from mend(story.state(*branch), due, config, tally)
        except BudgetSpent:
            break
        if joint is not None:
            story.go_wrong(attempt, branch, joint)
            # A correction takes the place of the right step that it states.
            at += joint.corrects
    story.go_right(at)
    return story
