"""Tests of the search benchmark: what counts as different, and who pays for what."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from assets.bench.search import run_search_bench
from datagen.bench.search import (
    FIGURES,
    SearchPlan,
    Yield,
    _compare,
    _metered,
    _within,
    n_distinct,
)
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import Completion, CompletionRequest, Sampling
from datagen.guides.training import Schedule
from datagen.journal import Journal
from datagen.prompts.native import rollout_requests
from datagen.prompts.reading import Reading
from datagen.search.evidence import Rollout
from datagen.search.expansion import Replica
from datagen.search.puct import PuctConfig, puct
from datagen.search.scheduler import Scheduler
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, Verdict


def trace(*steps: str) -> Trace:
    return Trace("How many?", tuple(map(Step, steps)), "18")


def rollout(n_tokens: int, *steps: str, right: bool = True) -> Rollout:
    outcome = Outcome.CORRECT if right else Outcome.WRONG
    reading = Reading(tuple(map(Step, steps)), "18", "", (1,) * len(steps), (0.0,) * len(steps))
    request = CompletionRequest("p", Sampling(), 0)
    return Rollout(
        "best_of_n", Trace("How many?"), request, reading, Verdict(outcome, "18", ""), n_tokens
    )


def test_traces_that_differ_in_one_step_are_told_as_one() -> None:
    assert n_distinct([trace("a", "b", "c"), trace("a", "b", "d")]) == 1
    assert n_distinct([trace("a", "b", "c"), trace("a", "b")]) == 1


def test_traces_that_differ_in_two_steps_are_two() -> None:
    assert n_distinct([trace("a", "b", "c"), trace("a", "d", "e")]) == 2
    assert n_distinct([trace("a", "b", "c"), trace("a")]) == 2


def test_case_and_spacing_make_no_difference() -> None:
    assert n_distinct([trace("Find  it", "b"), trace("find it ", "B")]) == 1


def test_plain_sampling_pays_only_for_what_it_drew() -> None:
    drawn = [rollout(10, "a"), rollout(10, "b", right=False), rollout(10, "c")]
    found = _within(drawn, 25)
    assert found.n_tokens == 20
    assert [t.steps[0].text for t in found.traces] == ["a"]
    assert _within(drawn, 30).n_tokens == 30
    assert _within(drawn, 5) == Yield([], 0)


def test_a_ratio_is_of_traces_per_token_over_all_questions() -> None:
    ours = [Yield([trace("a", "b"), trace("c", "d")], 1000), Yield([], 1000)]
    theirs = [Yield([trace("a", "b")], 500), Yield([], 1500)]
    found = _compare(ours, theirs)
    assert found["verified_per_1k"] == 1.0
    assert found["other_per_1k"] == 0.5
    assert found["ratio"] == 2.0


def test_every_generated_token_of_a_search_is_counted_once() -> None:
    root = Trace("How many?")

    def twice_the_same():
        requests = rollout_requests(root, 2, sampling=Sampling())
        yield requests
        yield requests
        return "done"

    def judge(_: Completion) -> Verdict:
        return Verdict(Outcome.CORRECT, "18", "")

    engine = FakeEngine(lambda request: "word " * (1 + request.sample_idx))
    with Journal(":memory:") as journal:
        scheduler = Scheduler[tuple[str, int]](engine, journal)
        told = scheduler.run([("s", _metered(twice_the_same()))])["s"]
        assert told == ("done", scheduler.progress.n_tokens)
        both = Scheduler(engine, journal)
        config = PuctConfig(n_simulations=3, n_root_rollouts=2, replicas=(Replica(1.0),))
        _, n_tokens = both.run([("s", _metered(puct(root, config, judge)))])["s"]
        assert n_tokens >= both.progress.n_tokens > 0


@pytest.mark.slow
def test_a_small_run_reports_every_figure_and_trains_a_guide(tmp_path: Path) -> None:
    plan = SearchPlan(
        n_problems=8,
        n_screening=6,
        puct=PuctConfig(n_simulations=8, n_root_rollouts=3, c_puct=0.5, replicas=(Replica(1.0),)),
        variants={"without reuse of rollouts": {"reuse": False}},
        n_training=6,
        schedule=Schedule(epochs=1),
    )
    run_search_bench(
        Console(quiet=True), out=tmp_path, quick=False, json_path=tmp_path / "f.json", plan=plan
    )
    told = json.loads((tmp_path / "f.json").read_text("utf-8"))
    assert {*FIGURES, "guided_verified_per_1k", "guided_gain"} <= told.keys()
    assert 0 < told["n_questions"] <= 8
    assert told["puct_verified_per_1k"] > 0
    ways = told["detail"]["against_rejection"]
    assert ways.keys() == {"puct", "without reuse of rollouts", "guided"}
    assert told["detail"]["trained"]["n_train"] > 0
