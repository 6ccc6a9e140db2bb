"""Chains of whole attempts: problem, wrong attempt, complaint, next attempt, …, right answer.

Up to four of the nearest wrong ones, as for splices (:mod:`datagen.corrections.splice`), so that a
chain is a revision and not a second draw; they come closer from one to the next. An attempt's
answer is none any more once it is refuted, so it becomes a hypothesis.
"""

import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from datagen.corrections.candidates import Question, Whole
from datagen.corrections.joints import JointConfig, Tally, give_up
from datagen.corrections.rows import Attempt, Draft, Story
from datagen.engines.protocol import Answer, Request
from datagen.factors.taxonomy import Factor
from datagen.search.waves import BudgetSpent
from datagen.traces.distance import edit_distance


def chains(question: Question, *, max_attempts: int, max_rows: int) -> Iterator[Draft]:
    """Set the wrong attempts nearest to each right trace before it; none is used twice."""
    wrong = [whole for whole in question.wrong if _is_attempt(whole)]
    right = [whole for whole in question.right if whole.row["n_human_steps"] == 0]
    used: set[str] = set()
    for whole in right[:max_rows]:
        near = sorted(
            (edit_distance(attempt.trace, whole.trace), idx)
            for idx, attempt in enumerate(wrong)
            if attempt.name not in used
        )
        n = random.Random(whole.name).randint(1, max_attempts)
        # Two attempts that come to one answer would tell the same story twice.
        chosen: dict[str, Attempt] = {}
        for distance, idx in near:
            answer = wrong[idx].row["answer"].strip()
            if answer not in chosen and len(chosen) < n:
                chosen[answer] = Attempt(wrong[idx], 0, len(wrong[idx].steps), distance)
        if not chosen:
            return
        used.update(attempt.whole.name for attempt in chosen.values())
        yield Draft("attempts", whole, list(chosen.values())[::-1])


def _is_attempt(whole: Whole) -> bool:
    """Whether the policy wrote all of it by itself, from the question to an answer step."""
    return whole.n_given == 0 and whole.steps[-1].factor is Factor.ANSWER


def chain(
    draft: Draft, fingerprint: str, config: JointConfig, tally: Tally
) -> Generator[Sequence[Request], Sequence[Answer], Story]:
    """Write a draft; attempts whose joint fails are left out."""
    story = Story(draft, fingerprint)
    for attempt in draft.attempts:
        steps = attempt.whole.steps
        told = (*steps[:-1], replace(steps[-1], factor=Factor.HYPOTHESISE))
        try:
            joint = yield from give_up(story.state(*told), config, tally)
        except BudgetSpent:
            break
        if joint is not None:
            story.go_wrong(attempt, told, joint)
    story.go_right(0)
    return story
