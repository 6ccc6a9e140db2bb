"""Chains of revisions: where they doubt, how they go on, and that no verdict steers them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from driving import asked, drive
from polars.testing import assert_frame_equal

from datagen.config import EngineSettings
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import CompletionRequest, Evaluation, EvaluationRequest
from datagen.engines.registry import open_engine
from datagen.errors import ConfigError, EngineError
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.journal import Journal
from datagen.search import revise as revise_module
from datagen.search.budget import Budget
from datagen.search.generate import GenerateConfig
from datagen.search.revise import ReviseConfig, place_of_doubt, revise
from datagen.search.run import RunProgress, SearchTables, search_prefixes, verifier_of
from datagen.search.tree import BranchingNode, SearchTree, TreeNode
from datagen.traces.assemble import assemble_traces
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.model import Trace
from schemas import Prefix, Seed

COMPUTE, DETECT, ANSWER = Factor.COMPUTE, Factor.DETECT_ERROR, Factor.ANSWER
ROOT = Trace("How many?")
IS_18 = verifier_of({"answer": "18", "verifier": "numeric"})


def step(text: str, factor: Factor = COMPUTE) -> str:
    return f"{start_tag(factor)}{text}{end_tag(factor)}"


def write(request: CompletionRequest) -> str:
    """Attempt k of chain i writes the steps aki bki cki; the first answers 17, the others 18."""
    prompt, idx = str(request.prompt), request.sample_idx
    n_doubts = prompt.count(start_tag(DETECT))
    if prompt.endswith(start_tag(DETECT)):
        return f"wait {n_doubts}{idx}{end_tag(DETECT)}"
    answer = "18" if n_doubts else "17"
    steps = "".join(step(f"{letter}{n_doubts}{idx}") for letter in "abc")
    return f"{steps}{step(answer, ANSWER)}{THINK_END}{answer}"


def grow(
    value: Callable[[Trace], float] | None = None,
    write: Callable[[CompletionRequest], str] = write,
    **settings: Any,
) -> tuple[SearchTree[BranchingNode], FakeEngine]:
    engine = FakeEngine(write, evaluate=lambda r: Evaluation(value(r.state)) if value else NOTHING)
    config = ReviseConfig(**{"guide": "g" if value else None, **settings})
    return drive(revise(ROOT, config, IS_18), engine), engine


NOTHING = Evaluation(0.0)


def words(trace: Trace) -> str:
    return " ".join(step.text for step in trace.steps)


# ---- where an attempt is doubted


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ([0.8, 0.9, 0.4, 0.1], 2),  # the first below 0.5
        ([0.1, 0.9, 0.8], 2),  # the state that it began from is not its own doing
        ([0.9, 0.8, 0.6, 0.55], 2),  # none is: the largest drop
        ([0.9, 0.7, 0.8, 0.6], 1),  # of equal drops the first
        ([0.6, 0.7, 0.7], None),
        ([0.9], None),
        ([0.5, 0.5], None),
    ],
)
def test_doubt_falls_on_the_first_low_value_or_else_on_the_largest_drop(
    values: list[float], place: int | None
) -> None:
    assert place_of_doubt(values, doubt=0.5) == place


def test_without_a_guide_doubt_comes_at_the_end_of_the_thought_before_the_answer() -> None:
    tree, engine = grow(n_revisions=2)
    assert asked(engine, EvaluationRequest) == []
    assert [words(rollout.state) for rollout in tree.rollouts] == [
        "",
        "a00 b00 c00 wait 10",
        "a00 b00 c00 wait 10 a10 b10 c10 wait 20",
    ]
    assert [rollout.state.steps[-1].factor for rollout in tree.rollouts[1:]] == [DETECT] * 2


def test_with_a_guide_it_comes_behind_the_step_that_the_guide_finds_bad() -> None:
    tree, engine = grow(lambda state: 0.1 if words(state).endswith(("b00", "a10")) else 0.9)
    assert [words(rollout.state) for rollout in tree.rollouts] == [
        "",
        "a00 b00 wait 10",
        "a00 b00 wait 10 a10 wait 20",
    ]
    requests = asked(engine, EvaluationRequest)
    assert {request.model for request in requests} == {"g"}
    # Of each attempt that may be revised: where it began, and the steps of its thought.
    assert [words(request.state) for request in requests[:4]] == [
        "",
        "a00",
        "a00 b00",
        "a00 b00 c00",
    ]
    assert len(requests) == 8


def test_the_guides_values_stand_at_the_states_of_the_tree() -> None:
    tree, _ = grow(lambda state: 1 - len(state.steps) / 8, n_revisions=1)
    values = [node.evaluation for node in tree.nodes() if not node.terminal][:4]
    assert values == [1.0, 0.875, 0.75, 0.625]


def test_a_chain_that_the_guide_does_not_doubt_ends() -> None:
    tree, engine = grow(lambda state: 0.5 + len(state.steps) / 100, n_revisions=3)
    assert len(tree.rollouts) == 1
    assert not any(
        str(r.prompt).endswith(start_tag(DETECT)) for r in asked(engine, CompletionRequest)
    )


def test_the_verdict_steers_nothing() -> None:
    def states(answer: str) -> list[str]:
        tree, _ = grow(
            write=lambda r: write(r).replace("17", answer).replace("18", answer), n_chains=3
        )
        assert {rollout.verdict.extracted for rollout in tree.rollouts} == {answer}
        return [words(rollout.state) for rollout in tree.rollouts]

    assert states("18") == states("17")


# ---- how it goes on


def test_each_attempt_is_a_rollout_of_its_own_state_in_the_policys_own_words() -> None:
    tree, engine = grow(n_revisions=1)
    first, second = tree.rollouts
    assert (first.verdict.outcome, second.verdict.outcome) == ("wrong", "correct")
    assert words(second.trace) == "a00 b00 c00 wait 10 a10 b10 c10 18"
    assert {rollout.algorithm for rollout in tree.rollouts} == {"revise"}
    assert {rollout.request.sampling for rollout in tree.rollouts} == {ReviseConfig().rollout}
    turn = [r for r in asked(engine, CompletionRequest) if r.sampling.stop]
    assert [r.sampling.stop for r in turn] == [(end_tag(DETECT),)]


def test_every_step_of_every_attempt_is_a_state_of_the_tree() -> None:
    tree, _ = grow(n_revisions=2, n_chains=2)
    states = {node.state for node in tree.nodes()}
    for rollout in tree.rollouts:
        assert rollout.state in states
        trace = rollout.trace
        assert {trace.prefix(n) for n in range(len(trace.steps))} | {trace} <= states
    ends = [node for node in tree.nodes() if node.terminal]
    assert len(ends) == len(tree.rollouts)
    assert all(isinstance(node, BranchingNode) and not node.children for node in ends)


def test_chains_go_their_own_ways_though_they_stand_in_one_state() -> None:
    tree, _ = grow(n_chains=3, n_revisions=1)
    assert len({rollout.request.identity for rollout in tree.rollouts}) == 6
    assert len({words(rollout.trace) for rollout in tree.rollouts}) == 6
    assert tree.root.n_visits == 3


def test_equal_attempts_share_their_states() -> None:
    same = f"{step('a')}{step('17', ANSWER)}{THINK_END}17"
    tree, _ = grow(write=lambda r: same, n_chains=2, n_revisions=0)
    assert [node.n_visits for node in tree.nodes()] == [2, 2, 2]


@pytest.mark.parametrize(
    "attempt",
    [
        "no step at all",
        f"{step('17', ANSWER)}{THINK_END}17",  # an answer without a thought
        "",
    ],
)
def test_a_chain_ends_if_there_is_no_step_to_doubt(attempt: str) -> None:
    tree, _ = grow(write=lambda r: attempt, n_revisions=3)
    assert len(tree.rollouts) == 1


def test_a_chain_ends_if_its_doubt_cannot_be_read() -> None:
    def lost(request: CompletionRequest) -> str:
        doubts = str(request.prompt).endswith(start_tag(DETECT))
        return f"lost {THINK_END}" if doubts and request.sample_idx == 0 else write(request)

    tree, _ = grow(write=lost, n_chains=2, n_revisions=1)
    assert len(tree.rollouts) == 3
    (dead,) = [n for n in tree.nodes() if n.terminal and n.factor is DETECT]
    assert (dead.chosen, dead.n_visits) == (True, 1)


def test_an_attempt_that_was_cut_off_is_doubted_as_far_as_it_came() -> None:
    tree, _ = grow(
        write=lambda r: write(r) if r.sampling.stop else step("a") + step("b") + "and on",
        n_revisions=1,
    )
    assert words(tree.rollouts[1].state) == "a b wait 10"
    assert not any(node.terminal for node in tree.nodes())


def test_a_taxonomy_that_cannot_doubt_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    without: Sequence[Factor] = [factor for factor in ACTIONS if factor is not DETECT]
    monkeypatch.setattr(revise_module, "ACTIONS", without)
    with pytest.raises(ConfigError, match="'DetectError', which the taxonomy"):
        grow()


@pytest.mark.parametrize("n_waves", range(9))
def test_a_budget_that_is_spent_midway_leaves_what_was_found(n_waves: int) -> None:
    engine = FakeEngine(write, evaluate=lambda r: Evaluation(1 - len(r.state.steps) / 100))
    config = ReviseConfig(guide="g", n_chains=2, n_revisions=2)
    tree = drive(revise(ROOT, config, IS_18), engine, n_waves=n_waves)
    # An attempt, then thrice: values, doubt, another attempt.
    assert len(tree.rollouts) == 2 * min((n_waves + 2) // 3, 3)


# ---- as a run over a table

PREFIXES = Prefix.from_rows(
    {
        "prefix_id": f"s{n}@0",
        "seed_id": f"s{n}",
        "n_steps": 0,
        "n_seed_steps": 4,
        "question": f"How many, {n}?",
        "steps": [],
        "factors": [],
        "answer": "18",
        "verifier": "numeric",
    }
    for n in range(3)
)


def run(engine: FakeEngine, path: Path | str = ":memory:", **options: Any) -> SearchTables:
    config = GenerateConfig(
        algorithm="revise", revise=ReviseConfig(guide="g", n_chains=2, n_revisions=1)
    )
    with Journal(path) as journal:
        return search_prefixes(PREFIXES, engine, journal, config=config, **options)


def engine(**options: Any) -> FakeEngine:
    return FakeEngine(write, evaluate=lambda r: Evaluation(1 - len(r.state.steps) / 100), **options)


def test_the_tables_know_the_state_of_each_attempt() -> None:
    seen: list[RunProgress] = []
    found = run(engine(), on_progress=seen.append)
    assert found.rollouts.height == seen[-1].n_expected == 3 * 2 * 2
    states = found.rollouts.join(found.nodes, on="node_id", suffix="_node")
    assert states.height == found.rollouts.height
    assert set(states["factor"]) == {None, "DetectError"}
    traces = assemble_traces(Seed.empty(), PREFIXES, found.rollouts, found.nodes)
    assert traces["rollout_id"].null_count() == 0  # their ends are those of rollouts
    assert traces.height == found.rollouts.height
    revised = traces.filter(pl.col("factors").list.contains("DetectError"))
    assert set(revised["step_source"].list.n_unique()) == {3}


def test_a_run_that_is_resumed_gives_equal_tables(tmp_path: Path) -> None:
    whole = run(engine())
    for n_calls in (1, 2):
        with pytest.raises(EngineError):
            run(engine(fail_after=n_calls), tmp_path / "j")
    again = run(engine(batch_size=3), tmp_path / "j")
    assert_frame_equal(again.nodes, whole.nodes)
    assert_frame_equal(again.rollouts, whole.rollouts)
    assert_frame_equal(run(engine(fail_after=0), tmp_path / "j").nodes, whole.nodes)


def test_a_spent_budget_leaves_smaller_tables() -> None:
    cut = run(engine(batch_size=2), budget=Budget(max_tokens=60))
    assert cut.progress.budget_spent
    assert 0 < cut.rollouts.height < 12
    assert cut.nodes["prefix_id"].n_unique() == PREFIXES.height


@pytest.mark.slow
def test_the_embedded_reasoner_revises_itself() -> None:
    question = (
        "Max starts with 48 shells. He gives 18 shells to a friend. Max gets 3 shells from each of "
        "5 children. How many shells are there at the end?"
    )
    prefixes = PREFIXES.head(1).with_columns(question=pl.lit(question), answer=pl.lit("45"))
    config = GenerateConfig(algorithm="revise", revise=ReviseConfig(n_chains=6, n_revisions=1))
    with Journal(":memory:") as journal:
        found = search_prefixes(prefixes, open_engine(EngineSettings()), journal, config=config)
    revised = found.rollouts.filter(pl.col("n_given_steps") > 0)
    assert revised.height >= 4
    assert all("DetectError" in factors for factors in revised["factors"])
    assert revised.filter(pl.col("outcome").is_in(["correct", "wrong"])).height >= 3
    assert set(revised["node_id"]) <= set(found.nodes["node_id"])


def test_a_search_is_a_tree_of_plain_nodes() -> None:
    tree, _ = grow(n_chains=2)
    for node in tree.nodes():
        assert isinstance(node, TreeNode)
        assert node.priors == {}
        for child in node.below:
            assert child.parent is node
