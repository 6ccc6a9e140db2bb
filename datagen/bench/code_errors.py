"""Planted errors: one value or one operator of a verified thought is changed; who notices?

A changed value must be found at its very step. A changed operator mostly stands in a plan, which no
run can refute by its values; what can show it is a program that is written from the thought.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from datagen.bench.code_checks import FreshRuns, Rechecked, share
from datagen.code.back_translate import BackTranslation
from datagen.code.check import ThoughtCheck
from datagen.code.mutate import Mutation, mutate_operator, mutate_value
from datagen.engines.protocol import Completion, Engine
from datagen.journal import Journal
from datagen.search.scheduler import Scheduler
from datagen.search.waves import Search

_MAX_SHOWN: Final = 5

Mutate = Callable[[Rechecked, random.Random], Mutation | None]


@dataclass(frozen=True, slots=True)
class Planted:
    """A thought with an error of ours, and what the check says of it."""

    seed_id: str
    mutation: Mutation
    check: ThoughtCheck

    @property
    def found(self) -> bool:
        """Whether the changed step is the first that is contradicted."""
        return self.check.first_error == self.mutation.step_idx


def change_value(thought: Rechecked, rng: random.Random) -> Mutation | None:
    """Change the value of one claim that holds."""
    return mutate_value(thought.steps, thought.check, rng)


def change_operator(thought: Rechecked, rng: random.Random) -> Mutation | None:
    """Swap one operator."""
    return mutate_operator(thought.steps, rng)


def plant(
    thoughts: Sequence[Rechecked], n: int, mutate: Mutate, runs: FreshRuns, *, seed: int
) -> list[Planted]:
    """Plant ``n`` errors, one in each thought, and one more in each while there are too few.

    Args:
        thoughts: sound ones; taken in random order.
        n: most errors; no two changed thoughts are the same.
        mutate: makes an error.
        runs: to check the changed thoughts with.
        seed: of all choices.
    """
    rng = random.Random(seed)
    order = rng.sample(thoughts, len(thoughts))
    planted: list[Planted] = []
    known: set[tuple[str, tuple[str, ...]]] = set()
    while len(planted) < n:
        n_before = len(planted)
        for thought in order:
            mutation = mutate(thought, rng)
            if mutation is None:
                continue
            told = (thought.seed_id, tuple(step.text for step in mutation.steps))
            if told not in known and len(planted) < n:
                known.add(told)
                check = runs.check(thought.seed_id, mutation.steps)
                planted.append(Planted(thought.seed_id, mutation, check))
        if len(planted) == n_before:
            break
        order = rng.sample(order, len(order))  # the next round begins with others
    return planted


def value_detail(thoughts: Sequence[Rechecked], planted: Sequence[Planted]) -> dict[str, Any]:
    """How many changed values are found, and how much else is taken for an error.

    Args:
        thoughts: the sound ones.
        planted: what became of them.
    """
    elsewhere = [p for p in planted if not p.found and p.check.first_error >= 0]
    before = [p.check.steps[idx] for p in planted for idx in range(p.mutation.step_idx)]
    alarms = {
        "sound_thoughts": share(sum(t.check.first_error >= 0 for t in thoughts), len(thoughts)),
        "steps_before": share(before.count("contradicted"), len(before)),
    }
    told = {name: found["value"] for name, found in alarms.items() if found["value"] is not None}
    return {
        "recall": share(sum(p.found for p in planted), len(planted)),
        "n_thoughts": len(thoughts),
        "found_elsewhere": len(elsewhere),
        "missed": [
            f"{p.mutation.steps[p.mutation.step_idx].text} (was {p.mutation.before})"
            for p in planted
            if not p.found
        ][:_MAX_SHOWN],
        "false_alarms": alarms,
        "false_alarm_reported": max(told, key=lambda name: told[name] or 0.0) if told else None,
    }


def operator_detail(
    planted: Sequence[Planted],
    n_round_trips: int,
    runs: FreshRuns,
    engine: Engine,
    journal: Journal,
    config: BackTranslation,
) -> dict[str, Any]:
    """How many swapped operators values refute, and how many the round trip.

    Args:
        planted: thoughts with a swapped operator.
        n_round_trips: of so many of them programs are written anew.
        runs: the programs.
        engine: writes them.
        journal: what it wrote already.
        config: how many programs, and how many must pass.
    """
    by_values = [p.check.first_error == p.mutation.step_idx for p in planted]
    detail: dict[str, Any] = {"by_values": share(sum(by_values), len(planted))}
    tried = planted[:n_round_trips]
    if not tried or not config.n_round_trips:
        return {**detail, "by_round_trip": None, "by_either": None}
    programs = _rewritten([(runs.programs[p.seed_id].question, p) for p in tried],
                          engine, journal, config)  # fmt: skip
    by_programs: list[bool] = []
    for p, completions in zip(tried, programs, strict=True):
        codes = [config.dialect.read_code(completion) for completion in completions]
        failures = runs.examiner.failures(runs.programs[p.seed_id], codes)
        n_failed = len(failures) - failures.count(None)
        by_programs.append(n_failed > (1 - config.min_round_trip) * len(failures))
    either = [a or b for a, b in zip(by_values, by_programs, strict=False)]
    return {
        **detail,
        "by_round_trip": share(sum(by_programs), len(tried)),
        "by_either": share(sum(either), len(tried)),
    }


def _rewritten(
    asked: Sequence[tuple[str, Planted]],
    engine: Engine,
    journal: Journal,
    config: BackTranslation,
) -> list[list[Completion]]:
    """Programs written from changed thoughts, ``config.n_round_trips`` of each."""

    def search(question: str, planted: Planted) -> Search[list[Completion]]:
        answers = yield config.dialect.code_requests(
            question, planted.mutation.steps, config.n_round_trips, sampling=config.code
        )
        return [answer for answer in answers if isinstance(answer, Completion)]

    scheduler = Scheduler[list[Completion]](engine, journal)
    searches = ((f"{idx}", search(*one)) for idx, one in zip(count(), asked, strict=False))
    return list(scheduler.run(searches, n_searches=len(asked)).values())
