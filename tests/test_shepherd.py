"""Math-Shepherd: the same number of completions after every step, asked for in one wave."""

from collections import Counter

import pytest

from datagen.engines.fake import FakeEngine, toy_engine, toy_question
from datagen.engines.protocol import Completion, CompletionRequest, Request, Sampling
from datagen.journal import Journal
from datagen.prompts.native import prompt_of
from datagen.search.budget import Budget
from datagen.search.evidence import Rollout
from datagen.search.run import verifier_of
from datagen.search.scheduler import Scheduler
from datagen.search.shepherd import shepherd
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Step, Trace

SAMPLING = Sampling(max_tokens=100)
TRACE = Trace(
    toy_question(5), (Step("0+1=1"), Step("1+2=3"), Step("3+1=4"), Step("4+1=5"), Step("5")), "5"
)
IS_5 = verifier_of({"answer": "5", "verifier": "numeric"})


def wave(first: int, n_rollouts: int, trace: Trace = TRACE) -> list[Request]:
    search = shepherd(trace, first=first, n_rollouts=n_rollouts, sampling=SAMPLING, verify=IS_5)
    return list(next(search))


def run(first: int = 1, n_rollouts: int = 4, **options: Budget) -> tuple[list[Rollout], FakeEngine]:
    engine = toy_engine()
    with Journal(":memory:") as journal:
        search = shepherd(TRACE, first=first, n_rollouts=n_rollouts, sampling=SAMPLING, verify=IS_5)
        return Scheduler[list[Rollout]](engine, journal, **options).run([("s", search)])[
            "s"
        ], engine


def test_each_proper_prefix_is_completed_n_times_in_one_wave() -> None:
    assert wave(first=1, n_rollouts=3) == [
        CompletionRequest(prompt_of(TRACE.prefix(n_steps)), SAMPLING, idx)
        for n_steps in (1, 2, 3, 4)
        for idx in range(3)
    ]


@pytest.mark.parametrize(("first", "n_prefixes"), [(0, 5), (3, 2), (4, 1), (5, 0), (9, 0)])
def test_it_begins_at_the_shortest_prefix_asked_for(first: int, n_prefixes: int) -> None:
    assert len(wave(first, 3)) == 3 * n_prefixes


def test_a_trace_with_nothing_to_measure_gives_no_rollouts() -> None:
    rollouts, engine = run(first=5)
    assert (rollouts, engine.batches) == ([], [])
    rollouts, engine = run(n_rollouts=0)
    assert (rollouts, engine.batches) == ([], [])


def test_the_rollouts_come_by_prefix_then_by_sample_each_with_its_own_completion() -> None:
    rollouts, engine = run(n_rollouts=4)
    order = [(len(r.state.steps), r.request.sample_idx) for r in rollouts]
    assert order == [(n_steps, idx) for n_steps in (1, 2, 3, 4) for idx in range(4)]
    assert {r.algorithm for r in rollouts} == {"shepherd"}
    assert len({r.request.identity for r in rollouts}) == sum(map(len, engine.batches)) == 16
    for rollout in rollouts:
        total = rollout.state.steps[-1].text.partition("=")[2]
        assert rollout.reading.steps[0].text.partition("+")[0] == total
        assert rollout.verdict.outcome == ("correct" if rollout.reading.answer == "5" else "wrong")
        assert rollout.n_tokens == 3 * len(rollout.reading.steps) + 2 + 1
    assert Counter(r.state.answer for r in rollouts) == {None: 16}


def test_a_spent_budget_leaves_no_rollouts() -> None:
    assert run(budget=Budget(max_tokens=1))[0] == []
    search = shepherd(TRACE, first=1, n_rollouts=1, sampling=SAMPLING, verify=IS_5)
    next(search)
    with pytest.raises(StopIteration) as end:
        search.throw(BudgetSpent())
    assert end.value.value == []


def test_a_completion_without_an_answer_is_kept_as_no_trial() -> None:
    search = shepherd(TRACE, first=4, n_rollouts=1, sampling=SAMPLING, verify=IS_5)
    next(search)
    with pytest.raises(StopIteration) as end:
        search.send([Completion("half a th", "length", (-1.0,), (9,))])
    (rollout,) = end.value.value
    assert (rollout.verdict.is_trial, rollout.reading.rest) == (False, "half a th")
    assert not rollout.ended
