"""The label benchmark: scores by hand, methods that are charged for what they ask, real cases."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.bench.cases import Kind, collect, draw_rollouts
from datagen.bench.chains import SimulatedConfig
from datagen.bench.choosing import choosing_share
from datagen.bench.labels import Plan, bench_labels
from datagen.bench.methods import (
    Bench,
    Labelled,
    run_omega,
    run_ours,
    run_prior_bisection,
    run_shepherd,
)
from datagen.bench.scores import bootstrap, exact, processbench_f1, within_one
from datagen.bench.simulated import SimulatedPolicy
from datagen.config import EngineSettings
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import Completion, CompletionRequest, Engine, Sampling
from datagen.engines.registry import open_engine
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.reasoner.oracle import first_error
from datagen.search.first_error import Attempt, FirstErrorConfig, Suspect
from datagen.traces.markup import THINK_END
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, Verdict

pytestmark = pytest.mark.slow

# ---- scores


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def test_accuracies_by_hand() -> None:
    predicted, truth = ints(0, 2, 3, -1, 0, -1), ints(0, 3, 1, -1, -1, 0)
    assert exact(predicted, truth).value == pytest.approx(2 / 6)
    # Next to nothing is no neighbour of the first step.
    assert within_one(predicted, truth).value == pytest.approx(3 / 6)


def test_f1_by_hand() -> None:
    # Of four wrong traces one is hit, of two right ones one: 2 * 1/4 * 1/2 / (3/4).
    found = processbench_f1(ints(0, 2, 3, -1, 0, -1), ints(0, 3, 1, 2, -1, -1))
    assert found.value == pytest.approx(1 / 3)


def test_f1_is_nothing_without_hits_and_no_number_without_one_kind() -> None:
    assert processbench_f1(ints(1, 1), ints(0, -1)).value == 0.0
    assert np.isnan(processbench_f1(ints(1, 1, 1), ints(0, 1, 1)).value)


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_a_bootstrap_interval_holds_its_value_and_comes_out_the_same_again(
    pairs: list[tuple[int, int]],
) -> None:
    predicted, truth = ints(*(p for p, _ in pairs)), ints(*(t for _, t in pairs))
    found = exact(predicted, truth)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found == exact(predicted, truth)


def test_more_traces_make_a_narrower_interval_and_equal_ones_none() -> None:
    rng = np.random.default_rng(3)
    widths: list[float] = []
    for n in (20, 200, 2000):
        hit = rng.random(n) < 0.5
        found = bootstrap(lambda rows, hit=hit: float(hit[rows].mean()), n)
        widths.append(found.high - found.low)
        # The normal approximation of a share.
        assert found.high - found.low == pytest.approx(3.92 * 0.5 / n**0.5, rel=0.2)
    assert widths == sorted(widths, reverse=True)
    assert str(bootstrap(lambda _: 0.25, 9)) == "0.250 [0.250, 0.250]"


# ---- methods, on a trace by hand


Script = Mapping[int, str]
"""Outcomes of samples 0, 1, ... of a prefix, by its length in steps: r is right, w is wrong."""


def scripted(script: Script, *, n_steps: int = 5, correct: bool = False) -> Bench:
    """A bench of one trace whose rollouts end as the script says."""
    steps = tuple(Step(f"s{idx}", Factor.COMPUTE) for idx in range(n_steps))

    def write(request: CompletionRequest) -> str:
        said = script[request.prompt.count("-End>")][request.sample_idx]
        step = f"<ACT_Compute-Start> other {request.sample_idx} <ACT_Compute-End>\n"
        return f"{step}<Think_End>{said}"

    def verify(completion: Completion) -> Verdict:
        outcomes = {"r": Outcome.CORRECT, "w": Outcome.WRONG, "u": Outcome.UNVERIFIABLE}
        return Verdict(outcomes[completion.text[-1]], None, "")

    suspect = Suspect(Trace("Why?", steps, "0"), correct, "q", verify)
    return Bench([suspect], [], FakeEngine(write), Journal(":memory:"), Sampling())


@pytest.mark.parametrize(
    ("script", "by_k"),
    [
        ({1: "rw", 2: "wr", 3: "ww", 4: "ww"}, {1: 1, 2: 2}),
        ({1: "ww", 2: "rr", 3: "rr", 4: "rr"}, {1: 0, 2: 0}),
        ({1: "wr", 2: "rr", 3: "ru", 4: "rr"}, {1: 0, 2: 4}),
        ({1: "rr", 2: "uu", 3: "rr", 4: "rr"}, {1: 1, 2: 1}),
    ],
)
def test_shepherd_blames_the_first_step_after_which_none_of_k_ended_right(
    script: Script, by_k: dict[int, int]
) -> None:
    bench = scripted(script)
    found, pool = run_shepherd(bench, list(by_k))
    assert {k: int(x.predicted[0]) for k, x in zip(by_k, found, strict=True)} == by_k
    assert [x.n_rollouts[0] for x in found] == [4 * k for k in by_k]
    assert [x.n_prefixes[0] for x in found] == [4, 4]
    assert len(pool[0]) == 8
    assert found[1].n_tokens[0] == sum(r.n_tokens for r in pool[0]) > found[0].n_tokens[0]


def test_shepherd_finds_no_error_in_a_right_trace_all_of_whose_prefixes_succeed() -> None:
    bench = scripted({k: "r" for k in range(1, 5)}, correct=True)
    [found], _ = run_shepherd(bench, [1])
    assert found.predicted.tolist() == [-1]


def test_omega_bisects_and_leaves_right_traces_alone() -> None:
    script = {1: "rr", 2: "wr", 3: "ww", 4: "ww"}
    both = [run_omega(scripted(script), 2, stop_at_first_success=stop) for stop in (False, True)]
    assert [x.predicted.tolist() for x in both] == [[2], [2]]
    assert both[0].n_rollouts.tolist() == [4]  # prefixes 2 and 3
    assert both[0].n_prefixes.tolist() == both[1].n_prefixes.tolist() == [2]
    one = run_omega(scripted(script), 1, stop_at_first_success=False)
    assert one.predicted.tolist() == [1]
    right = run_omega(scripted(script, correct=True), 2, stop_at_first_success=False)
    assert (right.predicted.tolist(), right.n_tokens.tolist()) == ([-1], [0])


def test_bisection_by_our_prior_halves_the_mass_and_stops_at_a_success() -> None:
    bench = scripted({1: "rr", 2: "wr", 3: "ww", 4: "ww"})
    prior = run_ours(bench, FirstErrorConfig(max_rollouts=0), "prior")
    found = run_prior_bisection(bench, prior, 2)
    assert found.predicted.tolist() == [2]
    assert found.family == "ablation"
    assert 2 <= found.n_rollouts[0] <= 6


# ---- methods, on a policy


@cache
def simulated() -> tuple[Bench, list[int]]:
    policy = SimulatedPolicy(SimulatedConfig(), 2)
    engine, journal = policy.engine(), Journal(":memory:")
    states = [Trace(question) for question in policy.questions(40)]
    verify = policy.verify("")
    drawn = draw_rollouts(states, [verify] * 40, 4, engine, journal)
    attempts = [
        Attempt(r.trace, r.verdict.outcome is Outcome.CORRECT, r.state.question)
        for group in drawn
        for r in group
    ]
    first = {a.question: a for a in reversed(attempts) if a.correct == (len(a.question) % 2 == 0)}
    suspects = [Suspect(a.trace, a.correct, a.question, verify) for a in first.values()]
    truth = [policy.first_error(s.trace) for s in suspects]
    return Bench(suspects, attempts, engine, journal, Sampling()), truth


def every_method() -> Iterator[Labelled]:
    bench, _ = simulated()
    ours = run_ours(bench, FirstErrorConfig(), "ours")
    prior = run_ours(bench, FirstErrorConfig(max_rollouts=0), "prior")
    yield from (ours, prior, run_prior_bisection(bench, prior, 2))
    yield run_omega(bench, 4, stop_at_first_success=True)
    yield from run_shepherd(bench, (1, 3))[0]


def test_methods_are_charged_for_every_rollout_that_they_looked_at_once() -> None:
    for labelled in every_method():
        n = len(simulated()[0].suspects)
        for counts in (labelled.predicted, labelled.n_tokens, labelled.n_rollouts):
            assert counts.shape == (n,)
        assert (labelled.n_prefixes <= labelled.n_rollouts).all()
        assert ((labelled.n_tokens > 0) == (labelled.n_rollouts > 0)).all()
        if labelled.found is not None:
            for row, drawn in enumerate(labelled.found.rollouts):
                unique = {r.request.identity: r.n_tokens for r in drawn}
                assert len(unique) == len(drawn) == labelled.n_rollouts[row]
                assert sum(unique.values()) == labelled.n_tokens[row]


def test_a_method_finds_the_same_whatever_had_been_drawn_before() -> None:
    bench, _ = simulated()
    alone = replace(bench, journal=Journal(":memory:"))
    one, other = (run_ours(b, FirstErrorConfig(), "x") for b in (bench, alone))
    assert one.predicted.tolist() == other.predicted.tolist()
    assert one.n_tokens.tolist() == other.n_tokens.tolist() != [0] * len(bench.suspects)


def test_predictions_are_steps_of_their_traces_or_none() -> None:
    bench, _ = simulated()
    for labelled in every_method():
        for suspect, at in zip(bench.suspects, labelled.predicted.tolist(), strict=True):
            assert -1 <= at < len(suspect.trace.steps)
    found = run_ours(bench, FirstErrorConfig(max_rollouts=0), "prior").found
    assert found is not None
    assert -1 in found.posterior.most_probable


# ---- what the search costs


def test_the_share_of_choosing_is_its_seconds_by_those_of_the_engine() -> None:
    found = choosing_share(1000.0, 20)
    assert found.n_traces == 20
    assert found.share == pytest.approx(found.search_s / found.engine_s)
    # Twenty rollouts of at most eleven further steps of twelve tokens, and two for the end.
    assert 20 / 1000 < found.engine_s < 20 * (11 * 12 + 2) / 1000
    assert choosing_share(2000.0, 20).engine_s == pytest.approx(found.engine_s / 2)


@pytest.mark.parametrize(("rate", "n"), [(0.0, 5), (-1.0, 5), (10.0, 0)])
def test_no_rate_or_no_traces_have_no_share(rate: float, n: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{rate!r} and n_traces={n!r}")):
        choosing_share(rate, n)


# ---- the embedded reasoner


@cache
def reasoner() -> Engine:
    return open_engine(EngineSettings(batch_size=64))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sampled", "greedy", "planted"])
def test_cases_are_wrong_traces_of_different_questions_with_their_oracles_truth(kind: Kind) -> None:
    with Journal(":memory:") as journal:
        found = collect(kind, 6, reasoner(), journal, n_root_rollouts=3)
    assert len(found.wrong) == 6
    for case in found.wrong:
        assert not case.correct
        assert 0 <= case.truth == first_error(case.problem, case.trace.steps)
        assert case.suspect.verify(completion_of(case.trace)).outcome is Outcome.WRONG
    assert all(case.correct for case in found.right)
    questions = [case.problem.question for case in [*found.wrong, *found.right]]
    assert len(set(questions)) == len(questions)
    asked = {attempt.question for attempt in found.attempts}
    assert set(questions) <= asked
    assert found.n_root_tokens > 0
    if kind == "sampled":
        drawn = {(a.question, a.trace) for a in found.attempts}
        assert all((case.problem.question, case.trace) in drawn for case in found.wrong)


def completion_of(trace: Trace) -> Completion:
    return Completion(f"{THINK_END}{trace.answer}", "stop", (-1.0,), (1,))


FIGURES = {
    "n_traces", "ours_exact", "ours_tokens", "omega_exact", "omega_tokens", "omega_best_exact",
    "shepherd_best_exact", "token_ratio_vs_omega", "token_ratio_vs_shepherd",
    "gain_at_omega_tokens", "ece", "consensus_exact", "consensus_retention", "judge_exact",
    "judge_tokens",
}  # fmt: skip


@pytest.mark.slow
def test_a_small_benchmark_reports_every_figure_and_every_method() -> None:
    plan = Plan(
        n_wrong={"sampled": 5},
        n_root_rollouts=3,
        shepherd_ks={"sampled": (1, 2)},
        omega_ks=(1, 8),
        n_votes=1,
        n_simulated=4,
        ours=((0.0, 0), (0.9, 2), (0.9, 12)),
    )
    notes: list[str] = []
    with Journal(":memory:") as journal:
        report = bench_labels(reasoner(), journal, plan, note=notes.append)
    assert set(report.figures) >= FIGURES
    assert report.figures["n_traces"] == 5
    assert 0 <= report.figures["ours_exact"] <= 1
    sampled = report.rows.filter(report.rows["traces"] == "sampled")
    assert set(sampled["family"]) == {"ours", "omega", "shepherd", "ablation"}
    assert sampled["method"].n_unique() == sampled.height
    for row in report.rows.iter_rows(named=True):
        assert 0 <= row["exact_low"] <= row["exact"] <= row["exact_high"] <= 1
    assert sampled.filter(sampled["family"] == "ours")["ece"].null_count() == 0
    assert report.rows["traces"].n_unique() == 9  # eight simulated worlds
    assert report.reliability["sampled"]["n"].sum() > 5
    assert 0 <= report.bound["sampled"]["reached_behind_error"] <= 1
    assert notes
