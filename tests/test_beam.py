"""Beam search over steps: what is proposed, what goes on, and what is left behind."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from driving import asked, drive
from polars.testing import assert_frame_equal

from datagen.config import EngineSettings
from datagen.engines.fake import FakeEngine, toy_prefer, toy_question, toy_value, toy_write
from datagen.engines.protocol import (
    ChoiceRequest,
    CompletionRequest,
    Evaluation,
    EvaluationRequest,
)
from datagen.engines.registry import open_engine
from datagen.errors import EngineError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.search.beam import BeamConfig, beam, draw_factors
from datagen.search.budget import Budget
from datagen.search.expansion import Replica
from datagen.search.generate import GenerateConfig
from datagen.search.run import RunProgress, SearchTables, search_prefixes, verifier_of
from datagen.search.tree import BranchingNode, SearchTree
from datagen.traces.assemble import assemble_traces
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.model import Trace
from datagen.verify import Outcome
from schemas import Prefix, Seed

COMPUTE, PLAN, DEDUCE, ANSWER = Factor.COMPUTE, Factor.PLAN, Factor.DEDUCE, Factor.ANSWER
ROOT = Trace("How many?")
IS_18 = verifier_of({"answer": "18", "verifier": "numeric"})


def opened(request: CompletionRequest) -> Factor | None:
    return next((f for f in Factor if str(request.prompt).endswith(start_tag(f))), None)


def only(**probabilities: float) -> Callable[[ChoiceRequest], Sequence[float]]:
    tags = {start_tag(Factor[name]): p for name, p in probabilities.items()}
    return lambda request: [tags.get(choice, 0.0) for choice in request.choices]


LEGAL = only(COMPUTE=0.5, PLAN=0.25, DEDUCE=0.25)
ONLY_COMPUTE = only(COMPUTE=1.0)


def numbered(request: CompletionRequest) -> str:
    """A segment says which sample it is; an answer is always 17, a rollout's too."""
    factor = opened(request)
    if factor is ANSWER or factor is None:
        opening = "" if factor else start_tag(ANSWER)
        return f"{opening}17{end_tag(ANSWER)}{THINK_END}17"
    return f"s{request.sample_idx}{end_tag(factor)}"


def by_last_number(state: Trace) -> float:
    """Higher samples are better."""
    return int(re.sub(r"\D", "", state.steps[-1].text) or 0) / 100 if state.steps else 0.0


def grow(
    value: Callable[[Trace], float] = by_last_number,
    write: Callable[[CompletionRequest], str] = numbered,
    prefer: Callable[[ChoiceRequest], Sequence[float]] = LEGAL,
    **settings: Any,
) -> tuple[SearchTree[BranchingNode], FakeEngine]:
    engine = FakeEngine(write, prefer, evaluate=lambda r: Evaluation(value(r.state)))
    defaults = {"n_subtrees": 2, "width": 3, "max_depth": 2, "guide": "g"}
    return drive(beam(ROOT, BeamConfig(**{**defaults, **settings}), IS_18), engine), engine


def nodes_of(tree: SearchTree[BranchingNode]) -> Iterator[BranchingNode]:
    return (node for node in tree.nodes() if isinstance(node, BranchingNode))


def taken(tree: SearchTree[BranchingNode], depth: int) -> list[str]:
    return sorted(
        node.state.steps[-1].text
        for node in nodes_of(tree)
        if node.chosen and len(node.state.steps) == depth
    )


# ---- proposals


def test_the_steps_proposed_on_one_path_are_of_different_factors() -> None:
    tree, _ = grow(n_subtrees=1, max_depth=1)
    assert Counter(node.factor for node in tree.root.below) == {COMPUTE: 1, PLAN: 1, DEDUCE: 1}


def test_where_there_are_too_few_legal_factors_they_are_proposed_over_again() -> None:
    node = BranchingNode(ROOT, priors={COMPUTE: 0.75, PLAN: 0.25})
    first, second, *more = draw_factors(node, 5, beam_idx=0)
    assert {first, second} == {COMPUTE, PLAN}
    assert more == [first, second, first]


def test_factors_are_drawn_by_the_prior_and_the_draw_is_that_of_state_and_path() -> None:
    node = BranchingNode(ROOT, priors={PLAN: 0.2, COMPUTE: 0.8})
    draws = [tuple(draw_factors(node, 2, beam_idx=idx)) for idx in range(2000)]
    assert draws == [tuple(draw_factors(node, 2, beam_idx=idx)) for idx in range(2000)]
    share = sum(first is COMPUTE for first, _ in draws) / len(draws)
    assert abs(share - 0.8) < 0.03
    other = BranchingNode(Trace("Other?"), priors=node.priors)
    assert draws != [tuple(draw_factors(other, 2, beam_idx=idx)) for idx in range(2000)]


def test_a_factor_without_any_prior_is_never_drawn() -> None:
    node = BranchingNode(ROOT, priors={PLAN: 0.0, COMPUTE: 1.0})
    assert set(draw_factors(node, 9, beam_idx=0)) == {COMPUTE}


def test_paths_that_stand_in_one_state_say_different_things_there() -> None:
    _, engine = grow(max_depth=1)
    segments = [r for r in asked(engine, CompletionRequest) if opened(r)]
    assert [r.sample_idx for r in segments] == list(range(6))


def test_replicas_take_turns() -> None:
    _, engine = grow(
        n_subtrees=1, max_depth=1, replicas=(Replica(0.5), Replica(1.5, "other")), width=4
    )
    segments = [r for r in asked(engine, CompletionRequest) if opened(r)]
    expected = [(0.5, ""), (1.5, "other")] * 2
    assert [(r.sampling.temperature, r.model) for r in segments] == expected


def test_equal_proposals_are_one_node_that_two_paths_can_go_through() -> None:
    def same(request: CompletionRequest) -> str:
        return f"same{end_tag(factor)}" if (factor := opened(request)) else numbered(request)

    tree, engine = grow(write=same, prefer=only(COMPUTE=1.0), max_depth=2)
    (child,) = tree.root.below
    (grandchild,) = child.below
    assert [node.n_visits for node in (tree.root, child, grandchild)] == [2, 2, 2]
    assert len(asked(engine, EvaluationRequest)) == 3


# ---- what goes on


def test_diverse_paths_each_go_on_with_the_best_of_their_own_proposals() -> None:
    tree, _ = grow(diverse=True)
    assert taken(tree, 1) == ["s2", "s5"]
    assert taken(tree, 2) == ["s2", "s5"]
    parents = {n.parent for n in nodes_of(tree) if n.chosen and len(n.state.steps) == 2}
    assert len(parents) == 2


def test_a_common_beam_goes_on_with_the_best_of_all() -> None:
    tree, _ = grow(diverse=False)
    assert taken(tree, 1) == ["s4", "s5"]
    # s5 leads the beam from now on, so its proposals are 0 to 2, and those of s4 are 3 to 5.
    assert taken(tree, 2) == ["s4", "s5"]
    (parent,) = {n.parent for n in nodes_of(tree) if n.chosen and len(n.state.steps) == 2}
    assert parent is not None
    assert parent.state.steps[-1].text == "s4"


def test_what_was_not_taken_stays_behind_as_rejected_siblings() -> None:
    tree, _ = grow(max_depth=1)
    assert [node.chosen for node in tree.root.below] == [True] * 2 + [False] * 4
    for node in tree.root.below:
        assert (node.n_visits, node.estimate) == (
            (1, node.evaluation) if node.chosen else (0, None)
        )
        assert node.evaluation == by_last_number(node.state)
        assert node.prior == tree.root.priors[node.factor or PLAN]


def test_without_a_guide_the_rollouts_of_each_proposal_decide() -> None:
    def write(request: CompletionRequest) -> str:
        text = numbered(request)
        return text.replace("17", "18") if "s1" in str(request.prompt) else text

    tree, _ = grow(write=write, guide=None, n_subtrees=1, max_depth=1, n_rollouts=2)
    assert taken(tree, 1) == ["s1"]
    assert {rollout.algorithm for rollout in tree.rollouts} == {"beam"}
    assert len(tree.rollouts) == 3 * 2
    assert {node.evaluation for node in tree.root.below} == {0.0, 1.0}


def test_with_a_guide_no_rollouts_are_drawn_but_those_from_the_root() -> None:
    tree, _ = grow(n_rollouts=3, n_root_rollouts=4)
    assert [rollout.state for rollout in tree.rollouts] == [ROOT] * 4


def test_with_a_guide_no_verdict_steers_the_search() -> None:
    def write(request: CompletionRequest) -> str:
        said = ["18", "17", "16"][request.sample_idx]
        return f"{said}{end_tag(ANSWER)}{THINK_END}{said}"

    tree, engine = grow(
        lambda state: float(state.answer == "17"),
        write,
        only(ANSWER=1.0),
        n_subtrees=1,
    )
    (best,) = [node for node in tree.root.below if node.chosen]
    assert (best.state.answer, best.evaluation) == ("17", 1.0)
    assert best.verdict is not None
    assert best.verdict.outcome is Outcome.WRONG
    assert {r.state.answer for r in asked(engine, EvaluationRequest)} == {None, "16", "17", "18"}


def test_a_path_ends_at_its_answer_and_the_others_go_on() -> None:
    def prefer(request: ChoiceRequest) -> Sequence[float]:
        return only(ANSWER=1.0)(request) if "s5" in str(request.prompt) else ONLY_COMPUTE(request)

    tree, engine = grow(prefer=prefer, max_depth=4, width=3)
    (end,) = [node for node in nodes_of(tree) if node.terminal]
    assert [step.text for step in end.state.steps] == ["s5", "17"]
    assert max(len(node.state.steps) for node in nodes_of(tree)) == 4
    after = [r for r in asked(engine, CompletionRequest) if THINK_END in str(r.prompt)]
    assert after == []


def test_a_dead_end_is_taken_only_where_there_is_nothing_else() -> None:
    def write(request: CompletionRequest) -> str:
        return f"fine{end_tag(COMPUTE)}" if request.sample_idx == 1 else "lost <Think_End>\n"

    tree, engine = grow(lambda _: 0.0, write, only(COMPUTE=1.0), n_subtrees=1, max_depth=1)
    assert taken(tree, 1) == ["fine"]
    dead = [node for node in tree.root.below if node.terminal]
    assert [node.evaluation for node in dead] == [0.0]  # equal ones are one
    assert dead[0].state not in {r.state for r in asked(engine, EvaluationRequest)}
    tree, _ = grow(write=lambda _: "lost <Think_End>\n", prefer=only(COMPUTE=1.0), max_depth=5)
    assert max(len(node.state.steps) for node in nodes_of(tree)) == 1


# ---- the whole search


def toy_config(**settings: Any) -> BeamConfig:
    return BeamConfig(**{"n_subtrees": 3, "width": 2, **settings})


def toy_engine(**options: Any) -> FakeEngine:
    def evaluate(request: EvaluationRequest) -> Evaluation:
        return Evaluation(toy_value(request.state))

    return FakeEngine(toy_write, toy_prefer, evaluate=evaluate, **options)


PREFIXES = Prefix.from_rows(
    {
        "prefix_id": f"s{walk}@0",
        "seed_id": f"s{walk}",
        "n_steps": 0,
        "n_seed_steps": 4,
        "question": toy_question(4 + walk, walk),
        "steps": [],
        "factors": [],
        "answer": str(4 + walk),
        "verifier": "numeric",
    }
    for walk in range(3)
)


def run(
    engine: FakeEngine, path: Path | str = ":memory:", budget: Budget | None = None, **settings: Any
) -> SearchTables:
    config = GenerateConfig(algorithm="beam", beam=toy_config(**settings))
    with Journal(path) as journal:
        return search_prefixes(PREFIXES, engine, journal, config=config, budget=budget)


@pytest.mark.parametrize("diverse", [True, False])
def test_with_the_true_values_as_guide_every_path_ends_right(diverse: bool) -> None:
    found = run(toy_engine(), guide="g", diverse=diverse, width=6)
    ends = found.nodes.filter(pl.col("outcome").is_not_null(), pl.col("n_visits") > 0)
    assert set(ends["outcome"]) == {"correct"}
    assert ends["prefix_id"].n_unique() == PREFIXES.height
    assert found.rollouts.is_empty()
    traces = assemble_traces(Seed.empty(), PREFIXES, found.rollouts, found.nodes)
    assert set(traces["node_id"]) == set(found.nodes.drop_nulls("answer")["node_id"])


def test_the_search_is_one_of_those_that_the_pipeline_can_run() -> None:
    seen: list[RunProgress] = []
    config = GenerateConfig(algorithm="beam", beam=toy_config(n_root_rollouts=2))
    with Journal(":memory:") as journal:
        found = search_prefixes(
            PREFIXES, toy_engine(), journal, config=config, on_progress=seen.append
        )
    assert set(found.rollouts["algorithm"]) == {"beam"}
    # Two from each root, and one from each of 3 * 2 proposals, four steps deep.
    assert seen[-1].n_expected == 3 * (2 + 3 * 2 * 4)


def test_a_run_that_is_resumed_gives_equal_tables(tmp_path: Path) -> None:
    whole = run(toy_engine(), guide="g", n_root_rollouts=2)
    for n_calls in (1, 3, 6):
        with pytest.raises(EngineError):
            run(toy_engine(fail_after=n_calls), tmp_path / "j", guide="g", n_root_rollouts=2)
    again = run(toy_engine(batch_size=3), tmp_path / "j", guide="g", n_root_rollouts=2)
    assert_frame_equal(again.nodes, whole.nodes)
    assert_frame_equal(again.rollouts, whole.rollouts)
    assert again.progress.n_replayed > 0
    repeated = run(toy_engine(fail_after=0), tmp_path / "j", guide="g", n_root_rollouts=2)
    assert_frame_equal(repeated.nodes, whole.nodes)


@pytest.mark.parametrize("n_waves", range(9))
def test_a_budget_that_is_spent_midway_leaves_what_was_found(n_waves: int) -> None:
    verify = verifier_of({"answer": "5", "verifier": "numeric"})
    tree = drive(
        beam(Trace(toy_question(5)), toy_config(guide="g"), verify), toy_engine(), n_waves=n_waves
    )
    depth = max(len(node.state.steps) for node in nodes_of(tree))
    assert depth == max(0, (n_waves - 1) // 2)
    assert all(node.evaluation is not None for node in nodes_of(tree) if n_waves)


@pytest.mark.slow
def test_the_embedded_reasoner_is_searched_to_the_end() -> None:
    prefixes = Prefix.from_rows(
        [
            {
                "prefix_id": "w@0",
                "seed_id": "w",
                "n_steps": 0,
                "n_seed_steps": 4,
                "question": "Tom has 3 boxes with 6 apples each. He eats 2 apples. "
                "How many apples are there at the end?",
                "steps": [],
                "factors": [],
                "answer": "16",
                "verifier": "numeric",
            }
        ]
    )
    config = GenerateConfig(
        algorithm="beam", beam=BeamConfig(n_subtrees=2, width=2, n_rollouts=2, max_depth=24)
    )
    with Journal(":memory:") as journal:
        found = search_prefixes(prefixes, open_engine(EngineSettings()), journal, config=config)
    ends = found.nodes.filter(pl.col("outcome").is_in(["correct", "wrong"]))
    assert ends.height > 0
    traces = assemble_traces(Seed.empty(), prefixes, found.rollouts.clear(), found.nodes)
    assert set(traces["node_id"]) == set(ends["node_id"])
