"""Tests of what puct does with the steps that its rollouts have written."""

from collections.abc import Callable
from typing import Any

import pytest

from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import CompletionRequest, Evaluation, EvaluationRequest
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.search.evidence import Tally, state_key, tally
from datagen.search.expansion import Replica
from datagen.search.puct import Node, PuctConfig, puct
from datagen.search.scheduler import Scheduler
from datagen.search.tree import SearchTree
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.model import Trace
from tests.test_puct import ANSWER, COMPUTE, IS_18, PLAN, ROOT, always, opened, steps_in

ROOT_ROLLOUTS = ("a", "b", "a")
"""The first step that each rollout of the bare question writes; those by ``b`` end right."""


def writer(request: CompletionRequest) -> str:
    """Rollouts compute once more and answer; segments are called fresh."""
    if (factor := opened(request)) is not None:
        return f"fresh{request.sample_idx}{end_tag(factor)}"
    step = ROOT_ROLLOUTS[request.sample_idx] if not steps_in(request) else "later"
    told = "18" if "b" in (step, *steps_in(request)) else "17"
    closing = f"{start_tag(ANSWER)}{told}{end_tag(ANSWER)}{THINK_END}{told}"
    return f"{start_tag(COMPUTE)}{step}{end_tag(COMPUTE)}{closing}"


def grow(
    *factors: Factor,
    evaluate: Callable[[EvaluationRequest], Evaluation] | None = None,
    **settings: Any,
) -> tuple[SearchTree[Node], FakeEngine]:
    defaults = {"n_simulations": 1, "n_root_rollouts": 3, "replicas": (Replica(1.0),)}
    engine = FakeEngine(writer, always(*factors), evaluate=evaluate)
    with Journal(":memory:") as journal:
        scheduler = Scheduler[SearchTree[Node]](engine, journal)
        config = PuctConfig(**{**defaults, **settings})
        return scheduler.run([("tree", puct(ROOT, config, IS_18))])["tree"], engine


def segments(tree: SearchTree[Node]) -> list[str]:
    return [node.state.steps[-1].text for node in tree.nodes() if node.replica_idx >= 0]


def test_a_step_that_a_rollout_wrote_is_taken_and_no_replica_is_asked() -> None:
    tree, _ = grow(COMPUTE)
    child = tree.root.children[COMPUTE]
    assert child.state.steps[-1].text == "b"
    assert child.chosen
    assert child.replica_idx == -1
    assert not segments(tree)


def test_the_step_whose_rollouts_ended_right_beats_the_one_written_first() -> None:
    tree, _ = grow(COMPUTE)
    (loser,) = tree.root.rejected
    assert loser.state.steps[-1].text == "a"
    assert not loser.chosen
    assert loser.n_visits == 0
    assert loser.evaluation == 0.0


def test_under_a_factor_that_no_rollout_took_the_replicas_write() -> None:
    tree, _ = grow(PLAN)
    assert tree.root.children[PLAN].state.steps[-1].text == "fresh0"


def test_without_reuse_the_replicas_write_everything() -> None:
    tree, _ = grow(COMPUTE, reuse=False)
    assert segments(tree) == ["fresh0"]


def test_a_new_rollout_is_drawn_only_from_the_step_that_was_taken() -> None:
    tree, _ = grow(COMPUTE, n_rollouts=2)
    drawn = [rollout.state for rollout in tree.rollouts if rollout.state.steps]
    assert drawn == [tree.root.children[COMPUTE].state] * 2


def test_what_a_taken_step_is_worth_comes_from_new_rollouts_alone() -> None:
    # Chosen for how its own rollout ended, it would look too good by that one.
    tree, _ = grow(COMPUTE, n_rollouts=2)
    child = tree.root.children[COMPUTE]
    assert child.evaluation == 1.0
    assert tally(tree.rollouts)[state_key(child.state)] == Tally(3, 3)


def test_an_answer_that_a_rollout_gave_ends_the_trace_with_that_rollouts_verdict() -> None:
    tree, _ = grow(COMPUTE, ANSWER, n_simulations=12, c_puct=5.0)
    ends = [node for node in tree.nodes() if node.factor is ANSWER and node.replica_idx < 0]
    assert ends
    for end in ends:
        assert end.verdict is not None
        assert end.evaluation == float(end.state.answer == "18")


def test_costs_of_a_taken_step_are_those_of_its_part_of_the_rollout() -> None:
    tree, _ = grow(COMPUTE)
    reading = tree.root.children[COMPUTE].reading
    assert reading is not None
    assert len(reading.steps) == len(reading.n_tokens) == 1
    assert reading.steps == tree.root.children[COMPUTE].state.steps


def test_the_guide_chooses_among_written_steps() -> None:
    def likes_a(request: EvaluationRequest) -> Evaluation:
        return Evaluation(0.9 if request.state.steps[-1:] and "a" in _texts(request.state) else 0.1)

    tree, _ = grow(COMPUTE, evaluate=likes_a, guide="g")
    assert tree.root.children[COMPUTE].state.steps[-1].text == "a"


def _texts(state: Trace) -> list[str]:
    return [step.text for step in state.steps]


@pytest.mark.parametrize("n_simulations", [1, 4, 9])
def test_visits_add_up_with_reuse(n_simulations: int) -> None:
    tree, _ = grow(COMPUTE, PLAN, ANSWER, n_simulations=n_simulations)
    assert tree.root.n_visits == 1 + n_simulations
    for node in tree.nodes():
        if isinstance(node, Node) and node.children:
            below = sum(child.n_visits for child in node.children.values())
            assert node.n_visits == 1 + below
