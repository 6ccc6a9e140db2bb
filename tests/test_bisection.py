"""Binary search for the first error: planted errors, the paper's example, and a toy policy."""

from collections.abc import Callable, Mapping
from math import ceil, log2
from typing import Any

import pytest

from datagen.engines.fake import FakeEngine, toy_engine, toy_question, toy_value
from datagen.engines.protocol import CompletionRequest, Sampling
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.native import rollout_requests
from datagen.search.best_of_n import BestOfN, best_of_n
from datagen.search.bisection import Bisection, bisect
from datagen.search.budget import Budget
from datagen.search.run import verifier_of
from datagen.search.scheduler import Scheduler
from datagen.search.waves import BudgetSpent
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome

COMPUTE = Factor.COMPUTE
OPEN, CLOSE = start_tag(COMPUTE), end_tag(COMPUTE)
SAMPLING = Sampling(max_tokens=100)
IS_18 = verifier_of({"answer": "18", "verifier": "numeric"})
TARGET = 7
IS_TARGET = verifier_of({"answer": str(TARGET), "verifier": "numeric"})

Write = Callable[[CompletionRequest], str]


def wrong_trace(n_steps: int) -> Trace:
    """A trace of the steps s0 s1 s2 …"""
    steps = tuple(Step(f"s{idx}", COMPUTE) for idx in range(n_steps))
    return Trace("How many?", steps, "17")


def said(words: str, answer: str = "17") -> str:
    """What a policy writes that goes on with these steps and answers."""
    steps = "".join(f"{OPEN}{word}{CLOSE}" for word in words.split())
    return f"{steps}{THINK_END}{answer}"


def words_in(request: CompletionRequest) -> str:
    thought = request.prompt.partition("<Think_Start>\n")[2]
    return thought.replace(OPEN, "").replace(CLOSE, " ").replace("\n", "").strip()


def planted(first_error_idx: int) -> Write:
    """A policy that never errs, and never recovers from the error in that step."""
    return lambda r: said("x", "18" if len(words_in(r).split()) <= first_error_idx else "17")


def by_table(table: Mapping[str, str]) -> Write:
    """Sample i from a state ends as letter i of its entry says: right, wrong or unreadable."""
    answers = {"R": "18", "W": "17", "?": "several"}
    return lambda r: said("x y", answers[table[words_in(r)][r.sample_idx]])


def run_bisect(
    write: Write | FakeEngine, trace: Trace, *, k: int = 1, stop: bool = False, **options: Any
) -> tuple[Bisection, FakeEngine]:
    engine = write if isinstance(write, FakeEngine) else FakeEngine(write)
    budget = options.pop("budget", None)
    verify = options.pop("verify", IS_18)
    search = bisect(
        trace,
        n_rollouts=k,
        stop_at_first_success=stop,
        sampling=SAMPLING,
        verify=verify,
        **options,
    )
    with Journal(":memory:") as journal:
        scheduler = Scheduler[Bisection](engine, journal, budget=budget)
        return scheduler.run([("b", search)])["b"], engine


def asked(engine: FakeEngine) -> list[CompletionRequest]:
    return [r for batch in engine.batches for r in batch if isinstance(r, CompletionRequest)]


@pytest.mark.parametrize("n_steps", range(1, 13))
def test_every_planted_error_is_found_with_as_few_asks_as_halving_takes(n_steps: int) -> None:
    most = 0
    for planted_idx in range(n_steps):
        found, engine = run_bisect(planted(planted_idx), wrong_trace(n_steps), k=3)
        assert found.first_error_idx == planted_idx
        assert len(asked(engine)) == len(found.rollouts) == 3 * len(found.measured)
        most = max(most, len(found.measured))
    assert most == ceil(log2(n_steps))


def test_the_papers_example_is_bisected_at_steps_4_6_and_7() -> None:
    # Figure 2 (b): eight steps, estimates 0.25, 0.5 and 0, the error in the seventh.
    table = {"s0 s1 s2 s3": "WRWW", "s0 s1 s2 s3 s4 s5": "RWWR", "s0 s1 s2 s3 s4 s5 s6": "WWWW"}
    found, engine = run_bisect(by_table(table), wrong_trace(8), k=4)
    assert found.first_error_idx == 6
    assert {n: tally.mean for n, tally in found.measured.items()} == {4: 0.25, 6: 0.5, 7: 0.0}
    assert list(found.measured) == [4, 6, 7]
    assert [words_in(r) for r in asked(engine)] == [state for state in table for _ in range(4)]
    assert [r.sample_idx for r in asked(engine)] == [0, 1, 2, 3] * 3


def test_it_draws_the_samples_that_any_other_search_would_draw_from_these_prefixes() -> None:
    _, engine = run_bisect(planted(0), wrong_trace(4), k=2)
    assert asked(engine) == [
        request
        for n_steps in (2, 1)
        for request in rollout_requests(wrong_trace(4).prefix(n_steps), 2, sampling=SAMPLING)
    ]


@pytest.mark.parametrize("first", [1, 3, 6, 7])
def test_prefixes_shorter_than_the_first_are_taken_to_be_sound(first: int) -> None:
    for planted_idx in range(first - 1, 7):
        found, _ = run_bisect(planted(planted_idx), wrong_trace(7), first=first)
        assert found.first_error_idx == planted_idx
        assert all(first <= n_steps < 7 for n_steps in found.measured)
        assert len(found.measured) <= ceil(log2(7 - first + 1))


@pytest.mark.parametrize(("first", "n_steps"), [(0, 3), (4, 3), (1, 0)])
def test_a_first_prefix_outside_the_trace_is_refused(first: int, n_steps: int) -> None:
    with pytest.raises(ValueError, match=rf"first={first}.*{n_steps}"):
        run_bisect(planted(0), wrong_trace(n_steps), first=first)


def test_rollouts_that_cannot_be_judged_are_neither_right_nor_wrong() -> None:
    found, _ = run_bisect(by_table({"s0": "??W", "s0 s1": "?W?"}), wrong_trace(3), k=3)
    assert found.first_error_idx == 0
    assert {n: (t.n_rollouts, t.n_correct) for n, t in found.measured.items()} == {1: (1, 0)}


@pytest.mark.parametrize("stop", [False, True])
def test_a_prefix_of_which_nothing_can_be_judged_leaves_the_error_open(stop: bool) -> None:
    found, engine = run_bisect(by_table({"s0 s1": "???"}), wrong_trace(4), k=3, stop=stop)
    assert found.first_error_idx is None
    assert found.measured[2].mean is None
    assert len(found.rollouts) == len(asked(engine)) == 3


def test_stopping_at_the_first_success_asks_one_by_one_and_no_further() -> None:
    table = {"s0 s1": "?WRW", "s0 s1 s2": "WWW?"}
    found, engine = run_bisect(by_table(table), wrong_trace(4), k=4, stop=True)
    assert found.first_error_idx == 2
    assert [(words_in(r), r.sample_idx) for r in asked(engine)] == [
        *(("s0 s1", idx) for idx in range(3)),
        *(("s0 s1 s2", idx) for idx in range(4)),
    ]
    assert {len(batch) for batch in engine.batches} == {1}
    assert (found.measured[2].n_rollouts, found.measured[2].n_correct) == (2, 1)


def wrong_walks() -> list[Trace]:
    """Wrong traces of the toy policy over questions of one answer."""
    found: dict[Trace, None] = {}
    for walk in range(12):
        root = Trace(toy_question(TARGET, walk))
        search = best_of_n(root, n=12, sampling=SAMPLING, verify=IS_TARGET)
        with Journal(":memory:") as journal:
            drawn = Scheduler[BestOfN](toy_engine(), journal).run([("b", search)])["b"].rollouts
        wrong = [r for r in drawn if r.ended and r.verdict.outcome is Outcome.WRONG]
        found |= {rollout.trace: None for rollout in wrong}
    assert len(found) > 30
    return list(found)


def test_stopping_at_the_first_success_gives_the_same_errors_for_fewer_tokens() -> None:
    n_tokens = {False: 0, True: 0}
    n_seen = set[int | None]()
    for trace in wrong_walks():
        results: dict[bool, Bisection] = {}
        for stop in (False, True):
            results[stop], _ = run_bisect(toy_engine(), trace, k=2, stop=stop, verify=IS_TARGET)
            n_tokens[stop] += sum(r.n_tokens for r in results[stop].rollouts)
        every, stopped = results[False], results[True]
        assert stopped.first_error_idx == every.first_error_idx
        assert list(stopped.measured) == list(every.measured)
        drawn = {r.request.identity: r.reading for r in every.rollouts}
        assert all(drawn[r.request.identity] == r.reading for r in stopped.rollouts)
        n_seen.add(stopped.first_error_idx)
    assert len(n_seen) > 3
    assert n_tokens[True] < 0.8 * n_tokens[False]


def test_on_the_toy_policy_the_error_is_the_step_over_the_target() -> None:
    """Every other state succeeds with probability 1/2 or more, so that 32 tries do not fail."""
    for trace in wrong_walks():
        found, _ = run_bisect(toy_engine(batch_size=64), trace, k=32, verify=IS_TARGET)
        lost = [n for n in range(len(trace.steps) + 1) if toy_value(trace.prefix(n)) == 0]
        assert found.first_error_idx == lost[0] - 1


@pytest.mark.parametrize("stop", [False, True])
def test_a_budget_spent_within_a_bisection_leaves_what_was_drawn(stop: bool) -> None:
    table = {"s0 s1": "WR", "s0 s1 s2": "WW"}
    n_left = {False: 2, True: 3}[stop]  # all of the first prefix; one by one, half of the second

    def write(request: CompletionRequest) -> str:
        return by_table(table)(request)

    n_tokens = len(said("x y", "17").split()) + 1
    engine = FakeEngine(write, batch_size=1)
    budget = Budget(max_tokens=n_left * n_tokens)
    found, engine = run_bisect(engine, wrong_trace(4), k=2, stop=stop, budget=budget)
    assert found.first_error_idx is None
    assert len(found.rollouts) == n_left
    assert list(found.measured) == [2]


def test_a_budget_spent_before_the_first_answer_leaves_an_empty_bisection() -> None:
    search = bisect(
        wrong_trace(4),
        n_rollouts=2,
        stop_at_first_success=False,
        sampling=SAMPLING,
        verify=IS_18,
    )
    next(search)
    with pytest.raises(StopIteration) as end:
        search.throw(BudgetSpent())
    assert end.value.value == Bisection(None, [], {})
