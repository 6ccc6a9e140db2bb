"""PUCT: selection, expansion and backup on trees whose every number is worked out by hand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isclose
from typing import Any

import pytest

from datagen.engines.fake import FakeEngine, toy_engine, toy_question, toy_value
from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Request,
    Sampling,
)
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.labels.monte_carlo import wilson
from datagen.prompts.native import (
    prior_request,
    prompt_of,
    read_prior,
    read_rollout,
    read_segment,
)
from datagen.prompts.reading import Reading
from datagen.search.budget import Budget
from datagen.search.evidence import Rollout, Tally, state_key, tally
from datagen.search.expansion import Replica
from datagen.search.puct import Node, PuctConfig, SearchTree, backup, puct, puct_score, select
from datagen.search.run import verifier_of
from datagen.search.scheduler import Scheduler
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, Verdict

COMPUTE, DEDUCE, PLAN, ANSWER = Factor.COMPUTE, Factor.DEDUCE, Factor.PLAN, Factor.ANSWER
ROOT = Trace("How many?")
IS_18 = verifier_of({"answer": "18", "verifier": "numeric"})


# ---- selection


def node(n_visits: int = 0, value: float = 0.0, **priors: float) -> Node:
    """A node with a mean value; priors by the name of the factor."""
    made = Node(ROOT, n_visits=n_visits, value_sum=n_visits * value)
    made.priors = {Factor[name]: prior for name, prior in priors.items()}
    return made


def put(parent: Node, factor: Factor, child: Node) -> Node:
    child.parent, child.factor = parent, factor
    parent.children[factor] = child
    return child


def test_the_score_is_the_mean_value_plus_the_weighted_prior() -> None:
    root = node(9, 0.5, COMPUTE=0.6, DEDUCE=0.4)
    put(root, COMPUTE, node(2, 0.25))
    # 0.25 + 1.5 * 0.6 * sqrt(9) / (1 + 2) = 0.25 + 0.9
    assert isclose(puct_score(root, COMPUTE, c_puct=1.5), 1.15)
    # 0.25 + 0.2 * 0.6 * sqrt(9) / (1 + 2) = 0.25 + 0.12
    assert isclose(puct_score(root, COMPUTE, c_puct=0.2), 0.37)


def test_an_unvisited_action_starts_with_its_parents_value() -> None:
    root = node(9, 0.5, COMPUTE=0.6, DEDUCE=0.4)
    # 0.5 + 1.5 * 0.4 * sqrt(9) / 1
    assert isclose(puct_score(root, DEDUCE, c_puct=1.5), 2.3)


def test_selection_takes_the_best_score() -> None:
    root = node(4, 0.5, COMPUTE=0.6, DEDUCE=0.1, PLAN=0.3)
    put(root, COMPUTE, node(2, 0.1))
    put(root, PLAN, node(1, 0.2))
    # COMPUTE 0.1 + 1.5*0.6*2/3 = 0.7; DEDUCE 0.5 + 1.5*0.1*2 = 0.8; PLAN 0.2 + 1.5*0.3*2/2 = 0.65.
    # Were unvisited actions worth 0, DEDUCE would come last with 0.3.
    assert select(root, c_puct=1.5) == (root, DEDUCE)


def test_selection_walks_down_to_the_first_action_without_a_child() -> None:
    root = node(4, 0.5, COMPUTE=0.9, DEDUCE=0.1)
    child = put(root, COMPUTE, node(3, 0.6, PLAN=0.5, ANSWER=0.5))
    grandchild = put(child, PLAN, node(1, 0.0, COMPUTE=1.0))
    # At the root COMPUTE 0.6 + 0.9*2/4 = 1.05 and DEDUCE 0.5 + 0.1*2 = 0.7; below it
    # PLAN 0 + 0.5*sqrt(3)/2 = 0.43 and ANSWER 0.6 + 0.5*sqrt(3) = 1.47.
    assert select(root, c_puct=1.0) == (child, ANSWER)
    child.value_sum = 0.0
    child.priors = {PLAN: 0.9, ANSWER: 0.1}
    # Now COMPUTE 0 + 0.45 loses to DEDUCE 0.7.
    assert select(root, c_puct=1.0) == (root, DEDUCE)
    root.value_sum = 0.0
    # DEDUCE 0.2 loses to 0.45; below, PLAN 0.9*sqrt(3)/2 = 0.78 beats ANSWER 0.1*sqrt(3) = 0.17.
    assert select(root, c_puct=1.0) == (grandchild, COMPUTE)


def test_selection_can_end_at_a_terminal_node_with_nothing_to_expand() -> None:
    root = node(2, 0.5, ANSWER=1.0)
    end = put(root, ANSWER, node(1, 1.0))
    end.verdict = Verdict(Outcome.CORRECT, "18", "")
    assert select(root, c_puct=1.5) == (end, None)


def test_ties_go_to_the_higher_prior_then_to_the_order_of_the_taxonomy() -> None:
    root = node(4, 0.5, DEDUCE=0.2, COMPUTE=0.4, PLAN=0.4)
    assert list(Factor).index(PLAN) < list(Factor).index(COMPUTE)
    assert select(root, c_puct=0.0) == (root, PLAN)
    root.priors = {DEDUCE: 0.4, COMPUTE: 0.3, PLAN: 0.3}
    assert select(root, c_puct=0.0) == (root, DEDUCE)


def test_backup_counts_one_visit_and_the_value_at_every_ancestor_and_nowhere_else() -> None:
    root = node(1, 0.5)
    child, sibling = put(root, COMPUTE, node()), put(root, DEDUCE, node(2, 0.5))
    leaf = put(child, PLAN, node())
    backup(leaf, 1.0)
    backup(child, 0.25)
    assert (leaf.n_visits, leaf.value) == (1, 1.0)
    assert (child.n_visits, child.value) == (2, 0.625)
    assert (root.n_visits, root.value_sum) == (3, 1.75)
    assert (sibling.n_visits, sibling.value) == (2, 0.5)


# ---- priors


def choice(end: float = 0.0, **probabilities: float) -> Choice:
    wanted = {Factor[name]: p for name, p in probabilities.items()}
    return Choice((*(wanted.get(factor, 0.0) for factor in Factor), end))


def test_a_prior_asks_for_every_factor_and_for_the_end_of_the_thought() -> None:
    request = prior_request(ROOT)
    assert request.prompt == prompt_of(ROOT) == "Question: How many?\n<Think_Start>\n"
    assert request.choices == (*map(start_tag, Factor), THINK_END)


def test_priors_are_what_the_policy_says_normalised() -> None:
    priors = read_prior(choice(COMPUTE=0.375, PLAN=0.125), min_prior=0.0)
    assert priors == {f: {COMPUTE: 0.75, PLAN: 0.25}.get(f, 0.0) for f in Factor}


def test_the_end_of_the_thought_counts_as_the_answer() -> None:
    priors = read_prior(choice(0.2, COMPUTE=0.5, ANSWER=0.3), min_prior=0.1)
    assert priors == {COMPUTE: 0.5, ANSWER: 0.5}
    assert read_prior(choice(1.0), min_prior=0.1) == {ANSWER: 1.0}


def test_factors_below_the_least_prior_are_illegal_and_the_others_share_their_mass() -> None:
    priors = read_prior(choice(COMPUTE=0.72, PLAN=0.24, DEDUCE=0.04), min_prior=0.05)
    assert priors.keys() == {COMPUTE, PLAN}
    assert isclose(priors[COMPUTE], 0.75)
    assert isclose(sum(priors.values()), 1.0)


def test_a_factor_at_the_least_prior_is_legal() -> None:
    assert read_prior(choice(COMPUTE=0.5, PLAN=0.5), min_prior=0.5).keys() == {COMPUTE, PLAN}


def test_the_likeliest_factor_stays_legal_if_none_is_likely_enough() -> None:
    assert read_prior(choice(COMPUTE=0.5, PLAN=0.4), min_prior=0.9) == {COMPUTE: 1.0}


def test_a_policy_that_would_write_no_factor_at_all_is_left_with_other() -> None:
    assert read_prior(choice(), min_prior=0.02) == {Factor.OTHER: 1.0}


# ---- expansion

Write = Callable[[CompletionRequest], str]

END = f"{start_tag(ANSWER)}18{end_tag(ANSWER)}{THINK_END}"
"""What a policy writes at the end of its thought; its visible answer follows."""


def opened(request: CompletionRequest) -> Factor | None:
    """The factor whose step a request goes on with; ``None`` for a rollout."""
    return next((f for f in Factor if request.prompt.endswith(start_tag(f))), None)


def steps_in(request: Request) -> str:
    return request.prompt.partition("<Think_Start>\n")[2]


def always(*factors: Factor) -> Callable[[ChoiceRequest], Sequence[float]]:
    """Every state has these actions, equally likely."""
    tags = {start_tag(factor): 1 / len(factors) for factor in factors}
    return lambda request: [tags.get(choice, 0.0) for choice in request.choices]


def grow(
    write: Write,
    *factors: Factor,
    root: Trace = ROOT,
    budget: Budget | None = None,
    **settings: Any,
) -> tuple[SearchTree, FakeEngine]:
    """A tree of ``n_simulations`` with two root rollouts and one per segment, unless said."""
    defaults = {"n_simulations": 1, "n_root_rollouts": 2, "n_rollouts": 1, "c_puct": 1.0}
    config = PuctConfig(**{"reuse": False, **defaults, **settings})
    engine = FakeEngine(write, always(*factors))
    with Journal(":memory:") as journal:
        scheduler = Scheduler[SearchTree](engine, journal, budget=budget)
        return scheduler.run([("tree", puct(root, config, IS_18))])["tree"], engine


def requests_of(engine: FakeEngine, kind: type[Any]) -> list[Any]:
    return [r for batch in engine.batches for r in batch if isinstance(r, kind)]


def replicas(*segments: str, answers: Mapping[str, str] | None = None) -> Write:
    """Replica i writes ``segments[i]``; a rollout answers by what stands in its state, else 18."""

    def write(request: CompletionRequest) -> str:
        if factor := opened(request):
            segment = segments[request.sample_idx]
            return segment if "<" in segment or not segment else segment + end_tag(factor)
        wrong = (answer for part, answer in (answers or {}).items() if part in steps_in(request))
        return END + next(wrong, "18")

    return write


def test_the_best_proposal_becomes_the_child_and_the_other_is_kept_unvisited() -> None:
    write = replicas("bad", "good", answers={"bad": "17"})
    tree, _ = grow(write, COMPUTE, n_simulations=4, n_rollouts=3)
    child, (loser,) = tree.root.children[COMPUTE], tree.root.rejected
    assert [step.text for step in child.state.steps] == ["good"]
    assert (child.chosen, child.replica_idx, child.prior) == (True, 1, 1.0)
    assert [step.text for step in loser.state.steps] == ["bad"]
    assert (loser.chosen, loser.replica_idx, loser.n_visits) == (False, 0, 0)
    assert (loser.children, loser.rejected) == ({}, [])
    assert [r.verdict.outcome for r in tree.rollouts if r.state is loser.state] == ["wrong"] * 3


def test_of_equal_proposals_the_first_replicas_wins() -> None:
    tree, _ = grow(replicas("one", "two"), COMPUTE)
    assert tree.root.children[COMPUTE].replica_idx == 0
    assert [loser.replica_idx for loser in tree.root.rejected] == [1]


def test_each_replica_has_its_own_temperature_and_sample() -> None:
    _, engine = grow(
        replicas("a", "b", "c"), COMPUTE, replicas=tuple(map(Replica, (0.5, 1.0, 1.5)))
    )
    segments = [r for r in requests_of(engine, CompletionRequest) if opened(r)]
    assert [(r.sampling.temperature, r.sample_idx) for r in segments] == [
        (0.5, 0),
        (1.0, 1),
        (1.5, 2),
    ]
    assert {r.sampling.stop for r in segments} == {(end_tag(COMPUTE),)}


def test_identical_proposals_are_one() -> None:
    tree, engine = grow(replicas("same", "same"), COMPUTE, n_rollouts=2)
    assert tree.root.rejected == []
    assert tree.root.children[COMPUTE].replica_idx == 0
    from_child = [r for r in requests_of(engine, CompletionRequest) if "same" in r.prompt]
    assert len(from_child) == 2
    assert [r.sample_idx for r in from_child] == [0, 1]


def test_the_value_of_a_simulation_is_the_mean_of_the_new_childs_rollouts() -> None:
    def write(request: CompletionRequest) -> str:
        if factor := opened(request):
            return "x" + end_tag(factor)
        return END + ("18" if request.sample_idx == 0 else "17")

    tree, _ = grow(write, COMPUTE, n_root_rollouts=5, n_rollouts=4)
    assert tree.root.children[COMPUTE].value == 0.25
    assert (tree.root.n_visits, tree.root.value_sum) == (2, 0.2 + 0.25)


@pytest.mark.parametrize(
    ("segment", "outcome"),
    [
        ("lost the thread <Think_End>\n18", Outcome.UNVERIFIABLE),
        ("", Outcome.UNVERIFIABLE),
        ("word <x> " * 100, Outcome.TRUNCATED),
        (f"inside {start_tag(PLAN)} another", Outcome.UNVERIFIABLE),
    ],
)
def test_a_segment_that_is_no_whole_step_is_a_dead_end_worth_nothing(
    segment: str, outcome: Outcome
) -> None:
    tree, engine = grow(replicas(segment, segment), COMPUTE, max_step_tokens=64)
    child = tree.root.children[COMPUTE]
    assert child.verdict is not None
    assert child.verdict.outcome is outcome
    assert (child.n_visits, child.value) == (1, 0.0)
    assert (tree.root.n_visits, tree.root.value_sum) == (2, 1.0)  # its own rollouts were right
    assert [r.state for r in tree.rollouts] == [ROOT] * 2
    assert len(requests_of(engine, ChoiceRequest)) == 1


def test_a_dead_end_loses_against_an_open_one_even_if_that_had_no_luck() -> None:
    write = replicas("lost <Think_End>\n", "unlucky", answers={"unlucky": "17"})
    tree, _ = grow(write, COMPUTE)
    assert tree.root.children[COMPUTE].state.steps[-1].text == "unlucky"
    assert [loser.terminal for loser in tree.root.rejected] == [True]


def answering(*answers: str) -> Write:
    """Replica i ends the thought and answers ``answers[i]``."""

    def write(request: CompletionRequest) -> str:
        if opened(request) is ANSWER:
            said = answers[request.sample_idx]
            return f"{said}{end_tag(ANSWER)}{THINK_END}{said}"
        return END + "18"

    return write


def test_a_segment_is_one_step_even_if_the_engine_overran_the_stop_string() -> None:
    overrun = f"one{end_tag(COMPUTE)}{start_tag(COMPUTE)}two{end_tag(COMPUTE)}<ACT_"
    ends = (3, len(f"one{end_tag(COMPUTE)}"), len(overrun))
    reading = read_segment(Completion(overrun, "stop", (-1.0, -0.5, -9.0), ends), COMPUTE)
    assert reading.steps == (Step("one", COMPUTE),)
    assert (reading.n_tokens, reading.min_logprobs) == ((2,), (-1.0,))


def test_a_reading_has_the_tokens_and_the_least_log_probability_of_each_step() -> None:
    words = ["x", end_tag(COMPUTE), start_tag(ANSWER), "18", end_tag(ANSWER), THINK_END, "18", ""]
    ends = tuple(len("".join(words[: n + 1])) for n in range(len(words)))
    logprobs = (-1.0, -2.0, -0.5, -0.25, -0.75, -9.0, -8.0, -7.0)
    reading = read_segment(Completion("".join(words), "stop", logprobs, ends), ANSWER)
    assert reading.steps == ()  # it is no ANSWER segment: the first step closes as COMPUTE
    reading = read_rollout(
        Completion(
            start_tag(COMPUTE) + "".join(words),
            "stop",
            (-3.0, *logprobs),
            tuple(len(start_tag(COMPUTE)) + end for end in (0, *ends)),
        )
    )
    assert reading.steps == (Step("x", COMPUTE), Step("18", ANSWER))
    assert (reading.n_tokens, reading.min_logprobs) == ((3, 3), (-3.0, -0.75))
    assert (reading.answer, reading.rest) == ("18", "")


def test_tokens_of_a_segment_are_counted_from_behind_its_opening_tag() -> None:
    words = ["18", end_tag(ANSWER), THINK_END, "18", ""]
    ends = tuple(len("".join(words[: n + 1])) for n in range(len(words)))
    segment = Completion("".join(words), "stop", (-1.0, -2.0, -9.0, -9.0, -9.0), ends)
    reading = read_segment(segment, ANSWER)
    assert (reading.steps, reading.answer) == ((Step("18", ANSWER),), "18")
    assert (reading.n_tokens, reading.min_logprobs) == ((2,), (-2.0,))


@pytest.mark.parametrize("finish", ["length", "context"])
def test_an_answer_that_was_cut_off_is_none(finish: Any) -> None:
    text = f"18{end_tag(ANSWER)}{THINK_END}1"
    assert read_segment(Completion(text, "stop", (), ()), ANSWER).answer == "1"
    assert read_segment(Completion(text, finish, (), ()), ANSWER).answer is None


def test_an_answer_ends_the_trace_and_is_verified_at_once() -> None:
    tree, engine = grow(answering("17", "18"), ANSWER)
    end, (loser,) = tree.root.children[ANSWER], tree.root.rejected
    assert (end.state.answer, end.value) == ("18", 1.0)
    assert (loser.state.answer, loser.terminal) == ("17", True)
    assert [r.state for r in tree.rollouts] == [ROOT] * 2
    segments = [r for r in requests_of(engine, CompletionRequest) if opened(r)]
    assert {r.sampling.stop for r in segments} == {()}


def test_a_terminal_node_is_visited_again_without_asking() -> None:
    tree, engine = grow(answering("18", "18"), ANSWER, n_simulations=6)
    assert (tree.root.n_visits, tree.root.children[ANSWER].n_visits) == (7, 6)
    # Two rollouts and a prior at the root, then two segments, once.
    assert sum(map(len, engine.batches)) == 5


def test_the_last_step_of_an_unverifiable_answer_is_worth_nothing() -> None:
    tree, _ = grow(answering("many", "some"), ANSWER, n_simulations=2)
    assert tree.root.children[ANSWER].value == 0.0


def test_rollouts_that_cannot_be_verified_leave_the_parents_value() -> None:
    def write(request: CompletionRequest) -> str:
        if factor := opened(request):
            return f"x{request.sample_idx}{end_tag(factor)}"
        if "x" in steps_in(request):
            return END + "many"
        return END + ("18" if request.sample_idx < 3 else "17")

    tree, _ = grow(write, COMPUTE, n_root_rollouts=4)
    child, (loser,) = tree.root.children[COMPUTE], tree.root.rejected
    assert child.value == tree.root.value == 0.75
    assert (child.evaluation, loser.evaluation) == (0.75, None)


def test_a_child_is_grown_for_each_legal_factor_before_the_best_is_revisited() -> None:
    write = replicas("a", "b")
    tree, _ = grow(write, COMPUTE, PLAN, DEDUCE, n_simulations=3, c_puct=100.0)
    assert tree.root.children.keys() == {COMPUTE, PLAN, DEDUCE}
    assert list(tree.root.children) == [PLAN, DEDUCE, COMPUTE]  # the order of the taxonomy


def test_the_search_begins_where_the_human_left_off() -> None:
    root = Trace("How many?", (Step("given", PLAN, "human"),))
    tree, engine = grow(replicas("a", "b"), COMPUTE, root=root)
    assert all("given" in r.prompt for batch in engine.batches for r in batch)
    assert [s.provenance for s in tree.root.children[COMPUTE].state.steps] == ["human", "model"]


# ---- visits


def toy_tree(target: int, walk: int = 0, **settings: Any) -> SearchTree:
    config = PuctConfig(**settings)
    verify = verifier_of({"answer": str(target), "verifier": "numeric"})
    with Journal(":memory:") as journal:
        scheduler = Scheduler[SearchTree](toy_engine(batch_size=64), journal)
        return scheduler.run([("t", puct(Trace(toy_question(target, walk)), config, verify))])["t"]


def nodes_of(tree: SearchTree) -> Iterator[Node]:
    stack = [tree.root]
    while stack:
        at = stack.pop()
        yield at
        stack += [*at.children.values(), *at.rejected]


def check_visits(tree: SearchTree, n_simulations: int) -> None:
    assert tree.root.n_visits == 1 + n_simulations
    for at in nodes_of(tree):
        below = sum(child.n_visits for child in at.children.values())
        if not at.chosen:
            assert (at.n_visits, below) == (0, 0)
        elif at.terminal:
            assert (at.n_visits > 0, below) == (True, 0)
        else:
            assert at.n_visits == below + 1
        assert 0 <= at.value <= 1
        assert not at.priors or isclose(sum(at.priors.values()), 1)


@pytest.mark.parametrize("n_simulations", [0, 1, 7, 60])
@pytest.mark.parametrize("c_puct", [0.0, 1.5, 50.0])
def test_every_simulation_is_one_visit_on_one_path_from_the_root(
    n_simulations: int, c_puct: float
) -> None:
    tree = toy_tree(5, n_simulations=n_simulations, c_puct=c_puct, n_rollouts=2)
    check_visits(tree, n_simulations)


def test_a_value_is_the_mean_of_what_the_simulations_below_backed_up() -> None:
    tree = toy_tree(4, n_simulations=40)
    for at in nodes_of(tree):
        if at.children:
            own = at.value_sum - sum(child.value_sum for child in at.children.values())
            assert -1e-9 <= own <= 1 + 1e-9


def test_the_tree_does_not_depend_on_how_its_requests_are_batched() -> None:
    def shape(tree: SearchTree) -> list[Any]:
        return [(prompt_of(at.state), at.n_visits, at.value) for at in nodes_of(tree)]

    config = PuctConfig(n_simulations=12)
    verify = verifier_of({"answer": "5", "verifier": "numeric"})
    trees: list[SearchTree] = []
    for batch_size, concurrency in ((1, 1), (3, 1), (2, 5)):
        engine = toy_engine(batch_size=batch_size, concurrency=concurrency)
        with Journal(":memory:") as journal:
            search = puct(Trace(toy_question(5)), config, verify)
            trees.append(Scheduler[SearchTree](engine, journal).run([("t", search)])["t"])
    assert shape(trees[0]) == shape(trees[1]) == shape(trees[2])


# ---- a budget that runs out


def test_a_budget_that_runs_out_anywhere_leaves_a_whole_tree() -> None:
    config = PuctConfig(n_simulations=6)
    verify = verifier_of({"answer": "5", "verifier": "numeric"})
    sizes: list[tuple[int, int]] = []
    for max_tokens in (*range(1, 900, 12), None):
        with Journal(":memory:") as journal:
            scheduler = Scheduler[SearchTree](
                toy_engine(batch_size=2), journal, budget=Budget(max_tokens=max_tokens)
            )
            search = puct(Trace(toy_question(5)), config, verify)
            tree = scheduler.run([("t", search)])["t"]
        n_simulations = max(tree.root.n_visits - 1, 0)
        if tree.root.n_visits:
            check_visits(tree, n_simulations)
        sizes.append((n_simulations, len(tree.rollouts)))
    assert sizes == sorted(sizes)
    assert sizes[0] == (0, 0)
    assert len(set(sizes)) > 7


# ---- on-policy evidence


def rollout(state: Trace, text: str, outcome: str, sample_idx: int = 0) -> Rollout:
    """A rollout whose steps are the words of ``text``."""
    steps = tuple(Step(word, COMPUTE) for word in text.split())
    n = len(steps)
    return Rollout(
        "puct",
        state,
        CompletionRequest(prompt_of(state), Sampling(), sample_idx),
        Reading(steps, "18", "", (1,) * n, (-1.0,) * n),
        Verdict(Outcome(outcome), "18", ""),
        n,
    )


def at(words: str) -> Trace:
    return ROOT.extended(*(Step(word, COMPUTE) for word in words.split()))


def counts(rollouts: Sequence[Rollout]) -> dict[str, tuple[int, int]]:
    """(trials, right) by the words of the state."""
    tallies = tally(rollouts)
    words = ["", "a", "a b", "a b c", "a x", "a x c", "z"]
    found = {w: tallies.get(state_key(at(w)), Tally()) for w in words}
    assert len(tallies) == sum(t.n_rollouts > 0 for t in found.values())
    return {w: (t.n_rollouts, t.n_correct) for w, t in found.items() if t.n_rollouts}


def test_a_rollout_counts_for_its_state_and_for_those_it_passes_through() -> None:
    assert counts([rollout(ROOT, "a b c", "correct")]) == {
        "": (1, 1),
        "a": (1, 1),
        "a b": (1, 1),
        "a b c": (1, 1),
    }


def test_a_rollout_does_not_count_for_the_states_before_its_own() -> None:
    assert counts([rollout(at("a b"), "c", "correct")]) == {"a b": (1, 1), "a b c": (1, 1)}


def test_evidence_of_a_whole_tree_by_hand() -> None:
    rollouts = [
        rollout(ROOT, "a b", "correct", 0),
        rollout(ROOT, "a x", "wrong", 1),
        rollout(ROOT, "z", "wrong", 2),
        rollout(ROOT, "a b", "unverifiable", 3),
        rollout(ROOT, "a b c", "truncated", 4),
        rollout(at("a"), "b", "correct", 0),
        rollout(at("a"), "x c", "correct", 1),
        rollout(at("a b"), "c", "wrong", 0),
        rollout(at("a x"), "c", "wrong", 0),
    ]
    assert counts(rollouts) == {
        "": (3, 1),
        "a": (4, 3),  # two through it from the root, two from itself
        "a b": (3, 2),  # one from the root, one from a, one from itself
        "a b c": (1, 0),
        "a x": (3, 1),
        "a x c": (2, 1),
        "z": (1, 0),
    }


def test_a_sample_that_two_searches_asked_for_counts_once() -> None:
    one, other = rollout(at("a"), "b", "correct", 0), rollout(at("a"), "b", "correct", 1)
    assert counts([one, replace(one, algorithm="shepherd"), one]) == {"a": (1, 1), "a b": (1, 1)}
    assert counts([one, other]) == {"a": (2, 2), "a b": (2, 2)}


def test_a_state_is_its_question_and_steps_whoever_wrote_them() -> None:
    human = ROOT.extended(Step("a", COMPUTE, "human"))
    assert state_key(human) == state_key(at("a"))
    assert state_key(ROOT.extended(Step("a", DEDUCE))) != state_key(at("a"))
    assert state_key(at("a")) != state_key(Trace("Other?", at("a").steps))
    nested = ROOT.extended(Step(f"a{end_tag(COMPUTE)}{start_tag(COMPUTE)}b", COMPUTE))
    assert state_key(nested) != state_key(at("a b"))


def test_only_a_verifiable_answer_that_was_read_ends_a_trace() -> None:
    whole = rollout(ROOT, "a", "wrong")
    assert whole.ended
    assert whole.trace == Trace("How many?", at("a").steps, "18")
    assert not rollout(ROOT, "a", "unverifiable").ended
    assert not replace(whole, reading=replace(whole.reading, answer=None)).ended


@pytest.mark.slow
def test_values_measured_on_the_toy_policy_agree_with_the_truth() -> None:
    """The 95 % intervals of the visited states hold the known value about that often.

    Were rollouts from a chosen child counted for its ancestors too, 90 % of them would.
    """
    n_inside = n = 0
    for walk in range(60):
        tree = toy_tree(4 + walk % 4, walk, n_simulations=20, n_root_rollouts=16, n_rollouts=8)
        tallies = tally(tree.rollouts)
        for at_node in nodes_of(tree):
            truth = toy_value(at_node.state)
            evidence = tallies.get(state_key(at_node.state))
            if at_node.terminal or not 0 < truth < 1 or evidence is None:
                continue
            low, high = wilson(evidence.n_correct, evidence.n_rollouts)
            n += 1
            n_inside += low <= truth <= high
    assert n > 1000
    assert 0.94 <= n_inside / n <= 0.98


@pytest.mark.slow
def test_rollouts_from_a_state_end_right_as_often_as_they_should() -> None:
    """Own rollouts only: which states the tree holds depends on the luck of those before them."""
    n = n_right = 0
    expected = variance = 0.0
    for walk in range(60):
        for drawn in toy_tree(4 + walk % 4, walk, n_simulations=20, n_rollouts=8).rollouts:
            truth = toy_value(drawn.state)
            n, n_right = n + 1, n_right + (drawn.verdict.outcome is Outcome.CORRECT)
            expected, variance = expected + truth, variance + truth * (1 - truth)
    assert n > 5_000
    assert abs(n_right - expected) < 2 * variance**0.5


def test_toy_values_solve_their_own_equation() -> None:
    # Every state is worth the mean of the two that follow it; reached is 1, missed is 0.
    values = [toy_value(Trace(toy_question(left))) for left in range(1, 6)]
    assert values == [0.5, 0.75, 0.625, 0.6875, 0.65625]
    state = Trace(toy_question(5), (Step("0+2=2"), Step("2+2=4")))
    assert toy_value(state) == 0.5
    assert toy_value(state.extended(Step("4+1=5"))) == 1.0
    assert toy_value(state.extended(Step("4+2=6"))) == 0.0
    assert isclose(values[4], 2 / 3 + (-1 / 2) ** 5 / 3)
