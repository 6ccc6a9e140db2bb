"""Wrong traces whose true first error the world's oracle knows: what label benchmarks run on.

Three kinds. *Sampled*: drawn at temperature 1, so most mistakes are slips that the policy itself
finds improbable. *Greedy*: the policy's most probable trace, of problems a little beyond what it
was trained on; it is sure of these mistakes. *Planted*: a right trace with one changed number,
continued by the policy.
"""

import random
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, cast

from datagen.engines.protocol import Answer, Completion, Engine, Request, Sampling
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.native import rollout_requests
from datagen.reasoner.oracle import first_error
from datagen.reasoner.world import MAX_EVENTS, MIN_EVENTS, Problem, draw_problem
from datagen.search.evidence import Rollout, Verify
from datagen.search.first_error import Attempt, Suspect
from datagen.search.run import verifier_of
from datagen.search.scheduler import Scheduler
from datagen.traces.model import Trace
from datagen.verify import Outcome

Kind = Literal["sampled", "greedy", "planted"]

_RNG_SEED: Final = 40_000_003
_SAMPLED: Final = Sampling()
_GREEDY: Final = Sampling(temperature=0.0)
_HARD_EVENTS: Final = MAX_EVENTS + 1
"""Problems for greedy traces have one event more than any in training."""

_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Case:
    """A trace with its truth.

    Attributes:
        problem: what it is about.
        trace: a whole trace.
        correct: whether its answer is right.
        truth: the oracle's first error, -1 for none.
    """

    problem: Problem
    trace: Trace
    correct: bool
    truth: int

    @property
    def suspect(self) -> Suspect:
        """As the first-error search takes it."""
        question = self.problem.question
        return Suspect(self.trace, self.correct, question, verify_world(self.problem))


@dataclass(frozen=True, slots=True)
class CaseSet:
    """Traces of one kind, and the root rollouts of their questions.

    Attributes:
        wrong: one wrong trace per question.
        right: right traces of other questions, for measures that need both.
        attempts: root rollouts of all questions that were tried, solved ones included; they cost
            the same whatever method labels the traces, and are counted for none.
        n_root_tokens: tokens that these took.
    """

    wrong: list[Case]
    right: list[Case]
    attempts: list[Attempt]
    n_root_tokens: int


def verify_world(problem: Problem) -> Verify:
    """How completions about ``problem`` are judged."""
    return verifier_of({"answer": str(problem.answer), "verifier": "numeric"})


def collect(
    kind: Kind, n: int, engine: Engine, journal: Journal, *, n_root_rollouts: int = 8
) -> CaseSet:
    """Draw problems until ``n`` have a wrong trace of this kind; keep a quarter as many right ones.

    Args:
        kind: how the traces come about.
        n: wrong traces.
        engine: the policy; it must know the embedded reasoner's world.
        journal: where its answers go.
        n_root_rollouts: rollouts from each bare question.
    """
    wrong: list[Case] = []
    right: list[Case] = []
    attempts: list[Attempt] = []
    n_tokens = 0
    for problems in _problems(kind, max(16, n // 2)):
        cases: _Cases | None = None
        if kind == "greedy":
            # The policy mostly solves these; only those that are kept need root rollouts.
            cases = _cases(problems, _greedy(problems, engine, journal))
            kept = [*cases.wrong[: n - len(wrong)], *cases.right[: n // 4 - len(right)]]
            problems = [case.problem for case in kept]
        states = [Trace(problem.question) for problem in problems]
        verifies = [verify_world(problem) for problem in problems]
        roots = draw_rollouts(states, verifies, n_root_rollouts, engine, journal)
        n_tokens += sum(rollout.n_tokens for group in roots for rollout in group)
        attempts += [
            Attempt(rollout.trace, _right(rollout), problem.question)
            for problem, group in zip(problems, roots, strict=True)
            for rollout in group
            if rollout.ended
        ]
        if cases is None:
            planted = kind == "planted"
            finished = _continued(problems, roots, engine, journal) if planted else roots
            cases = _cases(problems, finished)
        wrong += cases.wrong[: n - len(wrong)]
        right += cases.right[: n // 4 - len(right)]
        if len(wrong) == n:
            break
    return CaseSet(wrong, right, attempts, n_tokens)


class _Cases(NamedTuple):
    """At most one trace of each problem: a wrong one if there is any."""

    wrong: list[Case]
    right: list[Case]


def _cases(problems: Sequence[Problem], finished: Sequence[Sequence[Rollout]]) -> _Cases:
    found = _Cases([], [])
    for problem, group in zip(problems, finished, strict=True):
        cases = [
            Case(problem, r.trace, _right(r), first_error(problem, r.trace.steps))
            for r in group
            if r.ended and len(r.trace.steps) > 1
        ]
        bad = [case for case in cases if not case.correct and case.truth >= 0]
        good = [case for case in cases if case.correct]
        found.wrong.extend(bad[:1])
        found.right.extend([] if bad else good[:1])
    return found


def _problems(kind: Kind, n: int) -> Iterator[list[Problem]]:
    """Endless lists of ``n`` problems, none of them ever the same."""
    rng = random.Random(f"{_RNG_SEED} {kind}")
    while True:
        if kind == "greedy":
            yield [draw_problem(rng, n_events=_HARD_EVENTS) for _ in range(4 * n)]
        else:
            yield [
                draw_problem(rng, n_events=MIN_EVENTS + idx % (MAX_EVENTS - MIN_EVENTS + 1))
                for idx in range(n)
            ]


def _greedy(problems: Sequence[Problem], engine: Engine, journal: Journal) -> list[list[Rollout]]:
    """The policy's most probable trace of each problem."""
    states = [Trace(problem.question) for problem in problems]
    verifies = [verify_world(problem) for problem in problems]
    return draw_rollouts(states, verifies, 1, engine, journal, sampling=_GREEDY)


def _continued(
    problems: Sequence[Problem],
    roots: Sequence[Sequence[Rollout]],
    engine: Engine,
    journal: Journal,
) -> list[list[Rollout]]:
    """One continuation of a right trace of each problem, in which a number was changed."""
    verifies = [verify_world(problem) for problem in problems]
    planted = [
        _planted(group, random.Random(problem.question))
        for problem, group in zip(problems, roots, strict=True)
    ]
    changed = {idx: state for idx, state in enumerate(planted) if state is not None}
    drawn = draw_rollouts(
        list(changed.values()), [verifies[idx] for idx in changed], 1, engine, journal
    )
    finished: list[list[Rollout]] = [[] for _ in problems]
    for idx, group in zip(changed, drawn, strict=True):
        finished[idx] = group
    return finished


def _planted(group: Sequence[Rollout], rng: random.Random) -> Trace | None:
    """A right trace up to a step of it in which one number has been changed."""
    right = [r.trace for r in group if r.ended and _right(r)]
    if not right:
        return None
    steps = right[0].steps
    at = rng.choice([i for i, step in enumerate(steps) if step.factor is Factor.COMPUTE] or [0])
    numbers = list(_NUMBER.finditer(steps[at].text))
    if not numbers:
        return None
    number = rng.choice(numbers)
    changed = int(number.group()) + rng.choice((-10, -2, -1, 1, 2, 10))
    text = f"{steps[at].text[: number.start()]}{abs(changed)}{steps[at].text[number.end() :]}"
    return right[0].prefix(at).extended(replace(steps[at], text=text))


def draw_rollouts(
    states: Sequence[Trace],
    verifies: Sequence[Verify],
    n: int,
    engine: Engine,
    journal: Journal,
    *,
    sampling: Sampling = _SAMPLED,
) -> list[list[Rollout]]:
    """``n`` rollouts from each state, judged by the verifier beside it."""

    def draw(
        state: Trace, verify: Verify
    ) -> Generator[Sequence[Request], Sequence[Answer], list[Rollout]]:
        requests = rollout_requests(state, n, sampling=sampling)
        answers = yield requests
        return [
            Rollout.read("best_of_n", state, request, cast(Completion, answer), verify)
            for request, answer in zip(requests, answers, strict=True)
        ]

    searches = [
        (str(idx), draw(state, verify))
        for idx, (state, verify) in enumerate(zip(states, verifies, strict=True))
    ]
    found = Scheduler[list[Rollout]](engine, journal).run(searches)
    return [found[str(idx)] for idx in range(len(states))]


def _right(rollout: Rollout) -> bool:
    return rollout.verdict.outcome is Outcome.CORRECT
