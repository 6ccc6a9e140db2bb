"""The information-directed search, over policies whose first errors are known."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean
from typing import Any

import pytest
import torch

from datagen.bench.chains import SimulatedConfig
from datagen.bench.simulated import SCENARIOS, SimulatedPolicy
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import Completion, CompletionRequest, Sampling
from datagen.errors import EngineError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.labels.posterior import ErrorModel
from datagen.prompts.native import rollout_requests
from datagen.search.bisection import Bisection, bisect
from datagen.search.budget import Budget, Progress
from datagen.search.evidence import Rollout
from datagen.search.first_error import (
    Attempt,
    FirstErrorConfig,
    FirstErrors,
    Suspect,
    first_errors,
    shared_steps,
)
from datagen.search.scheduler import Scheduler
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, Verdict

N_ROOTS = 6


@dataclass(frozen=True)
class Cases:
    policy: SimulatedPolicy
    suspects: list[Suspect]
    attempts: list[Attempt]
    truth: list[int]

    def engine(self, **options: Any) -> FakeEngine:
        return self.policy.engine(**options)


@cache
def cases(name: str = "assumptions hold", n: int = 80, *, right: bool = False) -> Cases:
    """One trace of a question, wrong or ``right``, and root rollouts of all questions."""
    return draw_cases(SimulatedPolicy(SCENARIOS[name], 1), n, right=right)


def draw_cases(policy: SimulatedPolicy, n: int, *, right: bool = False) -> Cases:
    suspects: list[Suspect] = []
    attempts: list[Attempt] = []
    truth: list[int] = []
    engine = policy.engine()
    for question in policy.questions(20 * n):
        if len(suspects) == n:
            break
        requests = rollout_requests(Trace(question), N_ROOTS, sampling=Sampling())
        verify = policy.verify(question)
        rollouts = [
            Rollout.read("best_of_n", Trace(question), request, completion, verify)
            for request, completion in zip(
                requests, asyncio.run(engine.complete(requests)), strict=True
            )
        ]
        drawn = [Attempt(r.trace, r.verdict.outcome is Outcome.CORRECT, question) for r in rollouts]
        attempts += drawn
        for attempt in drawn:
            error = policy.first_error(attempt.trace)
            if attempt.correct == right and (error < 0) == right:
                suspects.append(Suspect(attempt.trace, right, question, verify))
                truth.append(error)
                break
    assert len(suspects) == n
    return Cases(policy, suspects, attempts, truth)


def search(
    made: Cases,
    config: FirstErrorConfig | None = None,
    *,
    engine: FakeEngine | None = None,
    journal: Journal | None = None,
    model: ErrorModel | None = None,
    budget: Budget | None = None,
) -> tuple[FirstErrors, Progress]:
    with Journal(":memory:") if journal is None else journal as kept:
        scheduler = Scheduler[FirstErrors](engine or made.engine(), kept, budget=budget)
        seeking = first_errors(
            made.suspects, made.attempts, config or FirstErrorConfig(), model=model
        )
        return scheduler.run([("s", seeking)])["s"], scheduler.progress


def predicted(found: FirstErrors) -> list[int]:
    p = found.posterior.first_error
    return [-1 if idx == p.shape[1] - 1 else idx for idx in p.argmax(1).tolist()]


def exact(found: Sequence[int | None], truth: Sequence[int]) -> float:
    return fmean(a == b for a, b in zip(found, truth, strict=True))


def tokens(found: FirstErrors) -> float:
    return fmean(sum(r.n_tokens for r in drawn) for drawn in found.rollouts)


def same(one: FirstErrors, other: FirstErrors) -> None:
    assert torch.equal(one.posterior.first_error, other.posterior.first_error)
    assert torch.equal(one.trials, other.trials)
    assert torch.equal(one.successes, other.successes)
    assert torch.equal(one.model.weights, other.model.weights)
    assert one.rollouts == other.rollouts
    assert one.surprisals == other.surprisals


def sound(found: FirstErrors) -> None:
    """What holds of every result."""
    told = found.posterior
    assert torch.isfinite(told.first_error).all()
    assert told.first_error.sum(1).tolist() == pytest.approx([1.0] * len(found.suspects))
    assert ((found.successes >= 0) & (found.successes <= found.trials)).all()
    for suspect, drawn, counted in zip(found.suspects, found.rollouts, found.trials, strict=True):
        n_steps = len(suspect.trace.steps)
        assert not counted[n_steps - 1 :].any()
        assert counted.sum() <= len(drawn) + len(suspect.known)
        identities = {r.request.identity for r in drawn}
        assert len(identities) == len(drawn)  # never the same sample twice
        assert all(r.state == suspect.trace.prefix(len(r.state.steps)) for r in drawn)


# ---- how good it is


@pytest.mark.slow
def test_it_is_far_more_exact_than_bisection_and_takes_fewer_tokens() -> None:
    made = cases()
    found, _ = search(made)
    sound(found)
    with Journal(":memory:") as journal:
        halves = Scheduler[Bisection](made.engine(), journal).run(
            (
                str(idx),
                bisect(
                    suspect.trace,
                    n_rollouts=8,
                    stop_at_first_success=False,
                    sampling=Sampling(),
                    verify=suspect.verify,
                ),
            )
            for idx, suspect in enumerate(made.suspects)
        )
    halved = [half.first_error_idx for half in halves.values()]
    assert None not in halved
    n_tokens = fmean(sum(r.n_tokens for r in half.rollouts) for half in halves.values())
    assert exact(predicted(found), made.truth) > exact(halved, made.truth) + 0.3
    assert tokens(found) < 0.6 * n_tokens


@pytest.mark.slow
def test_rollouts_add_to_what_surprisal_tells_and_surprisal_to_rollouts() -> None:
    made = cases()
    both, _ = search(made, FirstErrorConfig(confidence=0.98, max_rollouts=16))
    flat, _ = search(made, FirstErrorConfig(prior="flat"))
    none, _ = search(made, FirstErrorConfig(max_rollouts=0))
    sound(flat)
    scores = [exact(predicted(found), made.truth) for found in (both, flat, none)]
    assert scores[0] > scores[1] + 0.1
    assert scores[0] > scores[2]
    assert scores[1] > 0.2  # of five to ten places


def test_a_flat_prior_knows_nothing_of_surprisal() -> None:
    found, _ = search(cases(n=10), FirstErrorConfig(prior="flat", max_rollouts=0))
    for row, suspect in enumerate(found.suspects):
        p = found.posterior.first_error[row, : len(suspect.trace.steps)]
        assert float(p.max() / p.min()) < 4  # a constant hazard: earlier steps come first
        assert torch.equal(p, p.sort(descending=True).values)
    assert any(said.content > 0 for said in found.surprisals[0])


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.slow
def test_it_runs_in_every_world(name: str) -> None:
    found, _ = search(cases(name, n=12), FirstErrorConfig(max_rollouts=4))
    sound(found)
    assert any(found.rollouts)


def test_right_traces_are_found_to_be_right() -> None:
    made = cases(n=20, right=True)
    found, _ = search(made)
    sound(found)
    assert exact(predicted(found), made.truth) > 0.8


@pytest.mark.slow
def test_it_learns_whether_the_policy_recovers() -> None:
    never, often = (
        torch.sigmoid(search(cases(name, n=40))[0].model.recovery)
        for name in ("never recovers", "nearly always recovers")
    )
    assert never[1] + 0.08 < often[1]  # right behind the error little is certain


def test_traces_that_were_right_but_for_a_disturbance_are_no_trouble() -> None:
    policy = SimulatedPolicy(SimulatedConfig(recovery=(1.0,), luck=1.0), 5)
    made = draw_cases(policy, 5, right=True)
    found, _ = search(replace(made, suspects=[replace(s, correct=False) for s in made.suspects]))
    sound(found)
    assert found.successes.sum() == found.trials.sum() > 0


# ---- what it asks


@pytest.mark.slow
@pytest.mark.parametrize("wave", [1, 2, 5])
@pytest.mark.parametrize("most", [0, 1, 3, 6])
def test_no_trace_gets_more_rollouts_than_the_cap(wave: int, most: int) -> None:
    config = FirstErrorConfig(confidence=1.1, max_rollouts=most, wave=wave, min_information=0.0)
    found, progress = search(cases(n=12), config)
    sound(found)
    assert {len(drawn) for drawn in found.rollouts} == {most}
    assert progress.n_generated == 12 * most


def test_a_wave_asks_for_several_samples_of_one_prefix() -> None:
    config = FirstErrorConfig(max_rollouts=2, wave=2, confidence=1.1)
    found, _ = search(cases(n=12), config)
    for first, second in found.rollouts:
        assert first.state == second.state
        assert (first.request.sample_idx, second.request.sample_idx) == (0, 1)


def test_what_is_settled_is_asked_no_more_and_the_rest_until_nothing_is_to_be_learnt() -> None:
    config = FirstErrorConfig(confidence=0.7, refit_after=())
    before, _ = search(cases(n=40), replace(config, max_rollouts=0))
    found, _ = search(cases(n=40), config)
    n_drawn = torch.tensor([len(drawn) for drawn in found.rollouts])
    settled_at_once = before.posterior.first_error.max(1).values >= 0.7
    assert torch.equal(n_drawn == 0, settled_at_once)
    settled = found.posterior.first_error.max(1).values >= 0.7
    learnt = found.posterior.information.max(1).values <= config.min_information
    assert (settled | learnt | (n_drawn == 12)).all()
    assert 0 < settled_at_once.sum() < settled.sum()


@pytest.mark.slow
def test_higher_confidence_takes_more_rollouts() -> None:
    drawn = [
        sum(map(len, search(cases(n=40), FirstErrorConfig(confidence=c))[0].rollouts))
        for c in (0.5, 0.8, 0.99)
    ]
    assert drawn == sorted(drawn)
    assert drawn[0] < drawn[2]


def test_a_trace_of_which_nothing_can_be_learnt_is_not_asked_about() -> None:
    made = cases(n=3)
    one_step = [replace(s, trace=replace(s.trace, steps=s.trace.steps[:1])) for s in made.suspects]
    config = FirstErrorConfig(min_information=0.0, confidence=1.1)
    found, progress = search(replace(made, suspects=one_step), config)
    assert progress.n_generated == 0
    assert found.posterior.first_error.shape == (3, 2)
    assert predicted(found) == [0, 0, 0]


@pytest.mark.slow
def test_given_steps_are_neither_blamed_nor_left_out() -> None:
    made = cases(n=20)
    given = [replace(s, n_given=3) for s in made.suspects]
    found, _ = search(replace(made, suspects=given))
    sound(found)
    assert not found.posterior.first_error[:, :3].any()


@pytest.mark.slow
def test_of_a_prefix_that_was_sampled_before_it_asks_for_further_samples() -> None:
    made = cases(n=12)
    before = [replace(s, n_samples=dict.fromkeys(range(10), 7)) for s in made.suspects]
    found, _ = search(replace(made, suspects=before), FirstErrorConfig(max_rollouts=3))
    sound(found)
    assert {r.request.sample_idx for drawn in found.rollouts for r in drawn} <= {7, 8, 9}
    assert any(found.rollouts)


# ---- what counts as evidence


class Scripted:
    """A question with one trace of four steps, and completions by hand."""

    def __init__(self, write: Callable[[CompletionRequest], str]) -> None:
        steps = tuple(Step(f"s{idx}", Factor.COMPUTE) for idx in range(4))
        self.trace = Trace("Why?", steps, "0")
        self.engine = FakeEngine(write)

    def suspect(self, **fields: Any) -> Suspect:
        def verify(completion: Completion) -> Verdict:
            outcome = Outcome(completion.text.rpartition(">")[2])
            return Verdict(outcome, None, "")

        return Suspect(self.trace, False, "q", verify, **fields)


def test_known_rollouts_count_at_the_last_state_that_they_share_and_in_any_order() -> None:
    world = Scripted(lambda _: "")
    known = [(0, True), (1, True), (1, False), (3, False), (3, True), (3, True), (4, True)]
    results: list[FirstErrors] = []
    for seed in range(4):
        shuffled = random.Random(seed).sample(known, len(known))
        made = Cases(SimulatedPolicy(SimulatedConfig(), 0), [world.suspect(known=shuffled)], [], [])
        found, _ = search(made, FirstErrorConfig(max_rollouts=0), engine=world.engine)
        assert found.trials.tolist() == [[2, 0, 3, 0]]
        assert found.successes.tolist() == [[1, 0, 2, 0]]
        results.append(found)
    for other in results[1:]:
        assert torch.equal(results[0].posterior.first_error, other.posterior.first_error)


@pytest.mark.parametrize("n_more", [0, 1, 2])
def test_a_rollout_counts_at_the_state_where_it_leaves_the_trace_and_at_no_other(
    n_more: int,
) -> None:
    def write(request: CompletionRequest) -> str:
        """Go along the trace for some steps, then do something else."""
        begin = request.prompt.count("-End>")
        steps = [f"s{idx}" for idx in range(begin, min(begin + n_more, 4))]
        words = [*steps, f"else {request.sample_idx}"]
        said = "".join(f"<ACT_Compute-Start> {w} <ACT_Compute-End>\n" for w in words)
        return f"{said}<Think_End>wrong"

    world = Scripted(write)
    made = Cases(SimulatedPolicy(SimulatedConfig(), 0), [world.suspect()], [], [])
    config = FirstErrorConfig(max_rollouts=8, confidence=1.1, min_information=0.0)
    found, _ = search(made, config, engine=world.engine)
    assert len(found.rollouts[0]) == 8
    left = [len(r.state.steps) + n_more for r in found.rollouts[0]]
    assert found.trials[0].tolist() == [left.count(n) for n in (1, 2, 3)] + [0]
    assert not found.successes.any()


@pytest.mark.parametrize("outcome", ["unverifiable", "truncated"])
def test_what_has_no_verdict_is_a_rollout_but_no_trial(outcome: str) -> None:
    world = Scripted(lambda _: f"<Think_End>{outcome}")
    made = Cases(SimulatedPolicy(SimulatedConfig(), 0), [world.suspect()], [], [])
    found, _ = search(made, FirstErrorConfig(max_rollouts=5), engine=world.engine)
    assert len(found.rollouts[0]) == 5
    assert not found.trials.any()


def test_root_rollouts_count_for_the_question_or_where_they_leave_the_trace() -> None:
    world = Scripted(lambda _: "")

    def attempt(words: str, correct: bool, **fields: Any) -> Attempt:
        steps = tuple(Step(word, Factor.COMPUTE) for word in words.split())
        return Attempt(Trace("Why?", steps, "0"), correct, **{"question": "q"} | fields)

    attempts = [
        attempt("x y", True),
        attempt("x s1", False),
        attempt("s0 x", True),
        attempt("s0 s1 x", False),
        attempt("s0 s1 s2 s3", False),  # the trace itself
        attempt("x y", True, question="another"),
        attempt("s0 s1 y", True, n_given=1),
        attempt("s0 x", True, n_given=2),  # its shared step was given: it never left anything
    ]
    made = Cases(SimulatedPolicy(SimulatedConfig(), 0), [world.suspect()], attempts, [])
    found, _ = search(made, FirstErrorConfig(max_rollouts=0), engine=world.engine)
    assert (found.batch.root_trials.item(), found.batch.root_successes.item()) == (2, 1)
    assert found.trials.tolist() == [[1, 2, 0, 0]]
    assert found.successes.tolist() == [[1, 1, 0, 0]]


def test_attempts_from_a_prefix_say_nothing_of_the_bare_question() -> None:
    made = cases(n=12)
    given = [replace(a, n_given=1) for a in made.attempts]
    suspects = [replace(s, n_given=1) for s in made.suspects]
    found, _ = search(
        replace(made, attempts=given, suspects=suspects), FirstErrorConfig(max_rollouts=0)
    )
    assert found.batch.root_trials.tolist() == found.batch.root_successes.tolist() == [0] * 12
    assert found.roots is not None
    assert found.roots.steps.n_steps.tolist() == [len(a.trace.steps) - 1 for a in given]


def test_steps_are_shared_as_the_policy_reads_them() -> None:
    a, b, c = (Step(text, Factor.COMPUTE) for text in "abc")
    trace = Trace("q", (a, b, c))
    assert shared_steps(trace, Trace("q", (a, b, c, c))) == 3
    assert shared_steps(trace, Trace("q", (a, replace(b, provenance="human"), a))) == 2
    assert shared_steps(trace, Trace("q", (a, replace(b, factor=Factor.PLAN), c))) == 1
    assert shared_steps(trace, Trace("q")) == 0


# ---- replay, budgets, nothing to do


@pytest.mark.slow
def test_the_journal_alone_gives_the_same_result_again(tmp_path: Any) -> None:
    made = cases(n=20)
    first, before = search(made, journal=Journal(tmp_path / "j"))
    silent = made.engine(fail_after=0)
    second, after = search(made, engine=silent, journal=Journal(tmp_path / "j"))
    same(first, second)
    assert silent.batches == []
    assert (after.n_generated, after.n_replayed) == (0, before.n_generated)


@pytest.mark.slow
def test_a_run_that_crashed_goes_on_to_the_same_end(tmp_path: Any) -> None:
    made = cases(n=20)
    whole, _ = search(made)
    with pytest.raises(EngineError):
        search(made, engine=made.engine(fail_after=3), journal=Journal(tmp_path / "j"))
    same(whole, search(made, journal=Journal(tmp_path / "j"))[0])


def cut_short(made: Cases, n_waves: int) -> FirstErrors:
    """Tell the search after so many waves, the scoring pass first, that the budget is spent."""
    engine, seeking = made.engine(), first_errors(made.suspects, made.attempts, FirstErrorConfig())
    requests: Any = next(seeking)
    for wave in range(n_waves):
        asked = engine.complete(requests) if wave else engine.score(requests)
        requests = seeking.send(asyncio.run(asked))
    with pytest.raises(StopIteration) as end:
        seeking.throw(BudgetSpent())
    return end.value.value


def test_a_budget_that_is_spent_at_once_leaves_the_prior_without_surprisal() -> None:
    made = cases(n=20)
    found = cut_short(made, 0)
    sound(found)
    assert found.roots is None
    assert torch.equal(found.model.weights, ErrorModel().weights)
    assert all(said.n_tokens == 0 for row in found.surprisals for said in row)


def test_a_budget_that_is_spent_after_scoring_leaves_the_fitted_prior() -> None:
    made = cases(n=20)
    found, (prior, _) = cut_short(made, 1), search(made, FirstErrorConfig(max_rollouts=0))
    same(found, prior)
    assert not found.trials.any()
    assert found.model.weights[0] > 0.3


@pytest.mark.parametrize("n_waves", [2, 4])
@pytest.mark.slow
def test_a_budget_that_is_spent_midway_leaves_what_the_waves_so_far_showed(n_waves: int) -> None:
    found = cut_short(cases(n=20), n_waves)
    sound(found)
    assert max(len(drawn) for drawn in found.rollouts) == n_waves - 1
    assert found.trials.sum() > 0


@pytest.mark.slow
def test_the_scheduler_ends_it_when_tokens_are_spent() -> None:
    made = cases(n=20)
    found, progress = search(made, engine=made.engine(batch_size=8), budget=Budget(max_tokens=900))
    sound(found)
    assert progress.budget_spent
    assert 900 <= progress.n_tokens < 900 + 8 * 100


def test_without_suspects_there_is_an_empty_result() -> None:
    made = cases(n=3)
    for attempts in (made.attempts, []):
        found, progress = search(replace(made, suspects=[], attempts=attempts))
        sound(found)
        assert found.posterior.first_error.shape == (0, 1)
        assert progress.n_generated == 0


@pytest.mark.slow
def test_without_root_rollouts_it_searches_all_the_same() -> None:
    made = replace(cases(), attempts=[])
    found, _ = search(made)
    sound(found)
    assert found.roots is None
    assert exact(predicted(found), made.truth) > 0.4


@pytest.mark.slow
def test_a_model_of_an_earlier_run_is_where_it_begins() -> None:
    made = cases(n=20)
    model = replace(ErrorModel(), temperature=torch.tensor(0.5, dtype=torch.float64))
    found, _ = search(made, model=model)
    sound(found)
    assert float(found.model.temperature) == 0.5
    assert float(cut_short(made, 0).model.temperature) == 0.0
