"""PUCT with a value model: the guide goes into priors, values and choices, and no more."""

from collections.abc import Callable, Iterator, Sequence
from math import isclose
from typing import Any

import pytest
from driving import asked, drive

from datagen.engines.fake import FakeEngine, toy_prefer, toy_question, toy_value, toy_write
from datagen.engines.protocol import (
    ChoiceRequest,
    CompletionRequest,
    Evaluation,
    EvaluationRequest,
)
from datagen.errors import ConfigError
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.search.expansion import Replica
from datagen.search.puct import Node, PuctConfig, puct
from datagen.search.run import verifier_of
from datagen.search.tree import SearchTree
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome

COMPUTE, PLAN, ANSWER = Factor.COMPUTE, Factor.PLAN, Factor.ANSWER
ROOT = Trace("How many?")
IS_18 = verifier_of({"answer": "18", "verifier": "numeric"})
END = f"{start_tag(ANSWER)}18{end_tag(ANSWER)}{THINK_END}"

Value = Callable[[Trace], float]


def opened(request: CompletionRequest) -> Factor | None:
    return next((f for f in Factor if str(request.prompt).endswith(start_tag(f))), None)


def only(**probabilities: float) -> Callable[[ChoiceRequest], Sequence[float]]:
    tags = {start_tag(Factor[name]): p for name, p in probabilities.items()}
    return lambda request: [tags.get(choice, 0.0) for choice in request.choices]


ONLY_COMPUTE = only(COMPUTE=1.0)


def writer(request: CompletionRequest) -> str:
    """Replica i writes ``step i``; rollouts after ``step 0`` end right, all others wrong."""
    if factor := opened(request):
        said = f"step {request.sample_idx}" if factor is not ANSWER else "18"
        tail = f"{THINK_END}18" if factor is ANSWER else ""
        return f"{said}{end_tag(factor)}{tail}"
    return END + ("18" if "step 0" in str(request.prompt) else "17")


def guide_of(value: Value, policy: tuple[float, ...] | None = None) -> Any:
    return lambda request: Evaluation(value(request.state), policy)


def likes_step_1(state: Trace) -> float:
    return 0.75 if any(step.text == "step 1" for step in state.steps) else 0.25


def grow(
    evaluate: Callable[[EvaluationRequest], Evaluation] | None,
    prefer: Callable[[ChoiceRequest], Sequence[float]] = ONLY_COMPUTE,
    **settings: Any,
) -> tuple[SearchTree[Node], FakeEngine]:
    defaults = {"n_simulations": 1, "n_root_rollouts": 2, "n_rollouts": 1, "guide": "g"}
    engine = FakeEngine(writer, prefer, evaluate=evaluate)
    return drive(
        puct(ROOT, PuctConfig(**{"reuse": False, **defaults, **settings}), IS_18), engine
    ), engine


def test_the_guide_is_asked_about_each_state_under_its_fingerprint() -> None:
    tree, engine = grow(guide_of(likes_step_1))
    requests = asked(engine, EvaluationRequest)
    assert {request.model for request in requests} == {"g"}
    open_states = [ROOT, *(node.state for node in tree.root.below)]
    assert {request.state for request in requests} == set(open_states)
    assert len(requests) == len(open_states)


def test_a_value_model_alone_makes_rollouts_needless() -> None:
    tree, engine = grow(guide_of(likes_step_1), n_rollouts=0, n_root_rollouts=0)
    assert tree.rollouts == []
    assert all(opened(request) for request in asked(engine, CompletionRequest))
    assert (tree.root.evaluation, tree.root.children[COMPUTE].evaluation) == (0.25, 0.75)
    assert tree.root.value == 0.5


def test_rollouts_that_are_drawn_beside_a_value_model_do_not_count_for_the_value() -> None:
    tree, _ = grow(guide_of(likes_step_1), n_rollouts=3)
    assert len(tree.rollouts) == 2 + 2 * 3
    assert tree.root.children[COMPUTE].evaluation == 0.75  # its rollouts all went wrong


def test_the_guides_value_is_weighed_against_the_mean_of_the_own_rollouts() -> None:
    tree, _ = grow(guide_of(likes_step_1), guide_value=0.25)
    child, (loser,) = tree.root.children[COMPUTE], tree.root.rejected
    assert child.evaluation == 0.25 * 0.75 + 0.75 * 0.0
    assert loser.evaluation == 0.25 * 0.25 + 0.75 * 1.0


@pytest.mark.parametrize(("guide", "taken"), [("g", "step 1"), (None, "step 0")])
def test_the_guide_chooses_among_the_proposals_and_without_one_their_rollouts_do(
    guide: str | None, taken: str
) -> None:
    tree, _ = grow(guide_of(likes_step_1), guide=guide, guide_value=0.0)
    assert tree.root.children[COMPUTE].state.steps[-1].text == taken
    # Either way the value is that of the rollouts.
    assert tree.root.children[COMPUTE].evaluation == float(taken == "step 0")


def test_where_no_rollout_can_be_judged_the_guide_is_believed() -> None:
    engine = FakeEngine(
        lambda request: f"x{end_tag(COMPUTE)}" if opened(request) else END + "many",
        only(COMPUTE=1.0),
        evaluate=guide_of(lambda _: 0.5),
    )
    config = PuctConfig(
        n_simulations=1, n_root_rollouts=2, guide="g", guide_value=0.25, reuse=False
    )
    tree = drive(puct(ROOT, config, IS_18), engine)
    assert tree.root.evaluation == tree.root.children[COMPUTE].evaluation == 0.5


def test_an_end_keeps_its_verdict_and_the_guide_is_not_asked_about_it() -> None:
    tree, engine = grow(guide_of(lambda _: 0.25), only(ANSWER=1.0), n_simulations=3)
    end = tree.root.children[ANSWER]
    assert (end.terminal, end.evaluation, end.value, end.n_visits) == (True, 1.0, 1.0, 3)
    assert {request.state for request in asked(engine, EvaluationRequest)} == {ROOT}


def policy(**probabilities: float) -> tuple[float, ...]:
    wanted = {Factor[name]: p for name, p in probabilities.items()}
    return tuple(wanted.get(factor, 0.0) for factor in ACTIONS)


def test_the_prior_is_a_mixture_over_the_factors_that_the_policy_finds_legal() -> None:
    tree, _ = grow(
        guide_of(lambda _: 0.5, policy(COMPUTE=0.125, PLAN=0.375, ANSWER=0.5)),
        only(COMPUTE=0.75, PLAN=0.25),
        guide_prior=0.5,
    )
    # Compute 0.5*0.75 + 0.5*0.125 = 0.4375, Plan 0.5*0.25 + 0.5*0.375 = 0.3125; sum 0.75.
    priors = tree.root.priors
    assert list(priors) == [PLAN, COMPUTE]  # the order of the taxonomy
    assert isclose(priors[COMPUTE], 0.4375 / 0.75)
    assert isclose(priors[PLAN], 0.3125 / 0.75)
    assert tree.root.children[COMPUTE].prior == priors[COMPUTE]


def test_a_guide_without_weight_leaves_the_prior_as_it_is() -> None:
    tree, _ = grow(guide_of(lambda _: 0.5, policy(PLAN=1.0)), only(COMPUTE=0.75, PLAN=0.25))
    assert tree.root.priors == {PLAN: 0.25, COMPUTE: 0.75}


def test_a_guide_that_wants_nothing_legal_is_not_heard() -> None:
    tree, _ = grow(guide_of(lambda _: 0.5, policy(ANSWER=1.0)), guide_prior=1.0)
    assert tree.root.priors == {COMPUTE: 1.0}


def test_a_guide_without_a_policy_is_an_error_where_it_has_weight() -> None:
    with pytest.raises(ConfigError, match=r"'g' has no policy .*set search\.guide_prior to 0"):
        grow(guide_of(lambda _: 0.5), guide_prior=0.5)


def test_a_replica_can_be_another_model() -> None:
    _, engine = grow(
        guide_of(likes_step_1), replicas=(Replica(0.5), Replica(0.5, "other"), Replica(1.5))
    )
    requests = asked(engine, CompletionRequest)
    segments = [request for request in requests if opened(request)]
    assert [(r.sampling.temperature, r.model, r.sample_idx) for r in segments] == [
        (0.5, "", 0),
        (0.5, "other", 1),
        (1.5, "", 2),
    ]
    assert {r.model for r in requests if not opened(r)} == {""}  # rollouts are on-policy


def test_an_answer_that_more_steps_follow_is_no_answer() -> None:
    tail = f"18{end_tag(ANSWER)}{start_tag(PLAN)}more{end_tag(PLAN)}{THINK_END}18"
    engine = FakeEngine(lambda r: tail if opened(r) else END + "18", only(ANSWER=1.0))
    tree = drive(
        puct(ROOT, PuctConfig(n_simulations=1, n_root_rollouts=1, reuse=False), IS_18), engine
    )
    end = tree.root.children[ANSWER]
    assert end.verdict is not None
    assert (end.verdict.outcome, end.evaluation) == (Outcome.UNVERIFIABLE, 0.0)
    assert end.state.steps == (Step(tail, ANSWER),)


# ---- evaluations, against the toy whose values are known


def nodes_of(tree: SearchTree[Node]) -> Iterator[Node]:
    return (node for node in tree.nodes() if isinstance(node, Node))


def toy_search(target: int = 6, **settings: Any) -> Any:
    verify = verifier_of({"answer": str(target), "verifier": "numeric"})
    return puct(Trace(toy_question(target)), PuctConfig(reuse=False, **settings), verify)


def toy() -> FakeEngine:
    return FakeEngine(toy_write, toy_prefer, evaluate=guide_of(toy_value))


@pytest.mark.parametrize("guide", [None, "g"])
def test_visits_and_values_follow_from_the_recorded_evaluations(guide: str | None) -> None:
    tree = drive(toy_search(n_simulations=40, guide=guide), toy())
    n_inner = 0
    for node in nodes_of(tree):
        assert node.evaluation is not None
        children = node.children.values()
        if node.children:
            n_inner += 1
            assert node.n_visits == 1 + sum(child.n_visits for child in children)
            total = node.evaluation + sum(child.n_visits * child.value for child in children)
            assert isclose(node.n_visits * node.value, total)
        elif node.terminal and node.n_visits:
            assert node.value == node.evaluation
    assert n_inner > 8


def test_with_the_true_values_as_guide_the_search_finds_the_best_way() -> None:
    """By adding 1 and 2 any number can be met; the guide knows at each state how likely that is."""
    tree = drive(toy_search(n_simulations=60, guide="g", n_root_rollouts=0, n_rollouts=0), toy())
    assert tree.rollouts == []
    ends = [node for node in nodes_of(tree) if node.terminal]
    assert ends
    assert max(ends, key=lambda node: node.n_visits).evaluation == 1.0
    assert tree.root.value > toy_value(tree.root.state) + 0.1


@pytest.mark.parametrize("n_waves", range(12))
def test_a_budget_that_is_spent_midway_leaves_a_tree_that_adds_up(n_waves: int) -> None:
    tree = drive(toy_search(n_simulations=8, guide="g"), toy(), n_waves=n_waves)
    for node in nodes_of(tree):
        if node.children:
            assert node.n_visits == 1 + sum(child.n_visits for child in node.children.values())
    assert tree.root.n_visits == (n_waves > 0) + max(0, (n_waves - 1) // 2)
