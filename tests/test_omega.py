"""OmegaPRM: searches whose every number is worked out by hand."""

from collections.abc import Callable, Mapping
from math import isclose, sqrt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datagen.config import load_settings
from datagen.engines.fake import FakeEngine, toy_engine, toy_question, toy_value
from datagen.engines.protocol import CompletionRequest, Sampling
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.dialect import NATIVE
from datagen.prompts.native import prompt_of
from datagen.prompts.reading import Reading
from datagen.search.budget import Budget
from datagen.search.evidence import Rollout, state_key, tally
from datagen.search.generate import GenerateConfig, generate
from datagen.search.omega import (
    Candidate,
    OmegaConfig,
    OmegaNode,
    OmegaTree,
    Searched,
    candidates,
    exploration,
    omega,
    rollout_value,
    screen,
    select,
)
from datagen.search.run import SearchTables, search_prefixes, verifier_of
from datagen.search.scheduler import Scheduler
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.model import Step, Trace
from datagen.traces.prefixes import make_prefixes
from datagen.verify import Outcome, Verdict
from schemas import Node, Seed
from schemas import Rollout as RolloutContract

COMPUTE = Factor.COMPUTE
OPEN, CLOSE = start_tag(COMPUTE), end_tag(COMPUTE)
SAMPLING = Sampling(max_tokens=100)
QUESTION = Trace("How many?")
IS_18 = verifier_of({"answer": "18", "verifier": "numeric"})

TARGET = 7
IS_TARGET = verifier_of({"answer": str(TARGET), "verifier": "numeric"})

Write = Callable[[CompletionRequest], str]


def at(words: str, answer: str | None = None) -> Trace:
    """A trace whose steps are words."""
    return Trace("How many?", tuple(Step(word, COMPUTE) for word in words.split()), answer)


def words_of(state: Trace) -> str:
    return " ".join(step.text for step in state.steps)


def said(words: str, answer: str = "17") -> str:
    """What a policy writes that goes on with these steps and answers."""
    steps = "".join(f"{OPEN}{word}{CLOSE}" for word in words.split())
    return f"{steps}{THINK_END}{answer}"


def words_in(request: CompletionRequest) -> str:
    thought = request.prompt.partition("<Think_Start>\n")[2]
    return thought.replace(OPEN, "").replace(CLOSE, " ").replace("\n", "").strip()


def by_table(table: Mapping[str, str]) -> Write:
    """Sample i from a state ends as letter i of its entry says: right, wrong or unreadable."""
    answers = {"R": "18", "W": "17", "?": "several"}
    return lambda r: said("x y", answers[table[words_in(r)][r.sample_idx]])


def run_omega(
    write: Write | FakeEngine,
    *,
    root: Trace = QUESTION,
    budget: Budget | None = None,
    verify: Any = IS_18,
    **settings: Any,
) -> tuple[OmegaTree, FakeEngine]:
    """A search with four rollouts from the root and two from other states, unless said."""
    engine = write if isinstance(write, FakeEngine) else FakeEngine(write)
    config = OmegaConfig(**{"n_screening": 4, "n_rollouts": 2, **settings})
    with Journal(":memory:") as journal:
        scheduler = Scheduler[OmegaTree](engine, journal, budget=budget)
        return scheduler.run([("t", omega(root, config, verify))])["t"], engine


def asked(engine: FakeEngine) -> list[CompletionRequest]:
    return [r for batch in engine.batches for r in batch if isinstance(r, CompletionRequest)]


def nodes_of(tree: OmegaTree) -> dict[str, OmegaNode]:
    return {words_of(node.state): node for node in tree.nodes() if isinstance(node, OmegaNode)}


# ---- values


def test_q_by_hand() -> None:
    config = OmegaConfig()
    # sqrt(0.5 * 0.9) and 0.840896 * 0.81; then a state that never fails and an empty rollout.
    assert isclose(rollout_value(0.5, 250, config), sqrt(0.45))
    assert isclose(rollout_value(0.75, 1_000, config), sqrt(sqrt(0.5)) * 0.81)
    assert rollout_value(1.0, 0, config) == 1.0
    other = OmegaConfig(alpha=0.25, beta=0.5, length_scale=100)
    assert isclose(rollout_value(0.5, 200, other), 0.5 * 0.25)


def test_u_by_hand() -> None:
    config = OmegaConfig()
    assert exploration(0, 0, config) == 0.0
    assert exploration(0, 4, config) == 0.25
    assert exploration(1, 4, config) == 0.125
    assert isclose(exploration(2, 9, OmegaConfig(c_puct=2.0)), 2.0)


def rollout(
    state: Trace, words: str, outcome: str = "wrong", *, n_tokens: int = 1, idx: int = 0
) -> Rollout:
    steps = at(words).steps
    n = len(steps)
    return Rollout(
        "omega",
        state,
        CompletionRequest(prompt_of(state), SAMPLING, idx),
        Reading(steps, "17", "", (1,) * n, (-1.0,) * n),
        Verdict(Outcome(outcome), "17", ""),
        n_tokens,
    )


def node(state: Trace, outcomes: str, *, n_visits: int = 0, n_tokens: int = 1) -> OmegaNode:
    """A node whose rollouts end as the letters say, each in two steps of its own."""
    names = {"R": "correct", "W": "wrong", "?": "unverifiable", "T": "truncated"}
    rollouts = [
        rollout(state, f"a{idx} b", names[letter], n_tokens=n_tokens, idx=idx)
        for idx, letter in enumerate(outcomes)
    ]
    return OmegaNode(state, n_visits=n_visits, rollouts=rollouts)


def test_the_estimate_is_the_share_of_a_nodes_own_judged_rollouts() -> None:
    assert node(QUESTION, "RWW?T").estimate == 1 / 3
    assert node(QUESTION, "?T").estimate is None
    assert OmegaNode(QUESTION).estimate is None


@pytest.mark.parametrize(
    ("outcomes", "expected"), [("RWW?T", [1, 2]), ("RRR", []), ("WWW", []), ("W?", []), ("", [])]
)
def test_only_wrong_rollouts_of_states_that_sometimes_succeed_can_be_searched(
    outcomes: str, expected: list[int]
) -> None:
    found = candidates(node(QUESTION, outcomes))
    assert [candidate.rollout.request.sample_idx for candidate in found] == expected
    assert all(candidate.trace == candidate.rollout.trace for candidate in found)


def test_a_rollout_that_has_no_prefix_or_no_readable_end_cannot_be_searched() -> None:
    mixed = node(QUESTION, "RW")
    mixed.rollouts += [rollout(QUESTION, "one", idx=2), rollout(QUESTION, "one two", idx=3)]
    unread = rollout(QUESTION, "one two", idx=4)
    reading = Reading(unread.reading.steps, None, "<ACT_", (1, 1), (-1.0, -1.0))
    mixed.rollouts.append(
        Rollout("omega", QUESTION, unread.request, reading, unread.verdict, unread.n_tokens)
    )
    assert [c.rollout.request.sample_idx for c in candidates(mixed)] == [1, 3]


def pool_and_tree(*nodes: OmegaNode) -> tuple[list[Candidate], OmegaTree]:
    pool = [candidate for n in nodes for candidate in candidates(n)]
    tree = OmegaTree(nodes[0])
    tree.searched = [Searched(pool[0], 0) for n in nodes for _ in range(n.n_visits)]
    return pool, tree


def test_selection_prefers_states_that_mostly_succeed_then_short_rollouts() -> None:
    config = OmegaConfig()
    weak, strong = node(at("weak"), "RWWW"), node(at("strong"), "RRRW")
    pool, tree = pool_and_tree(weak, strong)
    assert select(pool, tree, config).node is strong
    long, short = node(at("long"), "RW", n_tokens=90), node(at("short"), "RW", n_tokens=80)
    pool, tree = pool_and_tree(long, short)
    assert select(pool, tree, config).node is short
    assert select(pool[:1], tree, config).node is long


def test_selection_turns_to_states_that_were_searched_less() -> None:
    # Q is 0.5^0.25 = 0.841 and 0.5^0.5 = 0.707 (times 0.9998); of nine searches all were of strong:
    # U is 0.125 * 3 / 10 = 0.0375 and 0.125 * 3 / 1 = 0.375.
    strong, weak = node(at("strong"), "RRRW", n_visits=9), node(at("weak"), "RW")
    pool, tree = pool_and_tree(strong, weak)
    assert select(pool, tree, OmegaConfig()).node is weak
    assert select(pool, tree, OmegaConfig(c_puct=0.01)).node is strong
    strong.n_visits, weak.n_visits = 3, 1
    pool, tree = pool_and_tree(strong, weak)
    # U is 0.125 * 2 / 4 = 0.0625 and 0.125 * 2 / 2 = 0.125: 0.903 against 0.832.
    assert select(pool, tree, OmegaConfig()).node is strong


def test_of_equal_candidates_the_one_drawn_first_is_selected() -> None:
    pool, tree = pool_and_tree(node(at("a"), "RWW"), node(at("b"), "RWW"))
    assert select(pool, tree, OmegaConfig()) is pool[0]


# ---- screening


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ("RRRR", "too_easy"),
        ("R?T", "too_easy"),
        ("WWW", "too_hard"),
        ("W?", "too_hard"),
        ("??", "too_hard"),
        ("RW", "kept"),
        ("?RW", "kept"),
    ],
)
def test_questions_that_always_or_never_succeed_are_screened_out(
    outcomes: str, verdict: str
) -> None:
    assert screen(node(QUESTION, outcomes).rollouts) == verdict


@pytest.mark.parametrize(("outcomes", "verdict"), [("RRRR", "too_easy"), ("WWWW", "too_hard")])
def test_a_question_that_is_screened_out_keeps_its_rollouts_and_is_not_searched(
    outcomes: str, verdict: str
) -> None:
    tree, engine = run_omega(by_table({"": outcomes}))
    assert (tree.screening, tree.pool, tree.searched) == (verdict, [], [])
    assert tree.rollouts == tree.root.rollouts
    assert len(asked(engine)) == 4


# ---- the search


def hand_made(request: CompletionRequest) -> str:
    """Two wrong rollouts from the root; one of them passes through a state that can go wrong."""
    script = {
        "": [said("a b c d"), said("x", "18"), said("e f"), said("y", "18")],
        "a b": [said("x", "18"), said("g h i")],
        "a b c": [said("z"), said("c d")],
        "a b g": [said("x", "18"), said("x", "18")],
        "a b g h": [said("z"), said("z")],
        "e": [said("x", "18"), said("y", "18")],
    }
    return script[words_in(request)][request.sample_idx]


def test_a_whole_search_by_hand() -> None:
    tree, engine = run_omega(hand_made)
    # Root 2/4. Both its wrong rollouts have Q near 0.5^0.5; "e f" is shorter and goes first: its
    # only prefix "e" always succeeds, so the error is in f and nothing joins the pool. Then comes
    # "a b c d": "a b" succeeds once in two and "a b c" never, so the error is in c. Of the draws
    # from "a b" one is wrong; it is searched last, between "a b" and its end.
    assert tree.screening == "kept"
    assert [
        (words_of(s.candidate.node.state), words_of(s.candidate.trace), s.first_error_idx)
        for s in tree.searched
    ] == [("", "e f", 1), ("", "a b c d", 2), ("a b", "a b g h i", 3)]
    assert tree.pool == []
    assert [words_in(r) for r in asked(engine)[4::2]] == ["e", "a b", "a b c", "a b g", "a b g h"]
    nodes = nodes_of(tree)
    assert {words: (n.n_visits, n.estimate) for words, n in nodes.items()} == {
        "": (2, 0.5),
        "e": (0, 1.0),
        "a": (0, None),
        "a b": (1, 0.5),
        "a b c": (0, 0.0),
        "a b g": (0, 1.0),
        "a b g h": (0, 0.0),
    }
    # Depth first, in the order of finding.
    assert list(nodes) == ["", "e", "a", "a b", "a b c", "a b g", "a b g h"]
    assert [words_of(r.trace) for r in nodes["a b"].rollouts] == ["a b x", "a b g h i"]
    assert len(tree.rollouts) == 14
    assert {r.algorithm for r in tree.rollouts} == {"omega"}


def test_every_node_is_one_step_and_names_the_rollout_that_wrote_it() -> None:
    tree, _ = run_omega(hand_made)
    nodes = nodes_of(tree)
    for words, found in nodes.items():
        if found.parent is None:
            assert (words, found.factor, found.request) == ("", None, None)
            continue
        assert found.parent is nodes[" ".join(words.split()[:-1])]
        assert found.factor is COMPUTE
        assert found.reading is not None
        assert found.reading.steps == found.state.steps[-1:]
        assert found.reading.n_tokens == (3,)  # a word between two tags
        assert (found.chosen, found.replica_idx, found.terminal) == (True, -1, False)
    writers = {words: n.request.prompt for words, n in nodes.items() if n.request}
    assert writers["a b"] == writers["a b c"] == prompt_of(QUESTION)
    assert writers["a b g"] == writers["a b g h"] == prompt_of(at("a b"))
    assert nodes["e"].request and nodes["e"].request.sample_idx == 2


def test_the_search_ends_at_its_limit_with_the_rest_still_in_the_pool() -> None:
    tree, _ = run_omega(hand_made, n_searches=1)
    assert [words_of(s.candidate.trace) for s in tree.searched] == ["e f"]
    assert [words_of(c.trace) for c in tree.pool] == ["a b c d"]
    tree, engine = run_omega(hand_made, n_searches=0)
    assert (tree.searched, len(tree.pool), len(asked(engine))) == ([], 2, 4)


def test_the_search_begins_where_the_human_left_off() -> None:
    root = Trace("How many?", (Step("given", COMPUTE, "human"), Step("too", COMPUTE, "human")))

    def write(request: CompletionRequest) -> str:
        words = words_in(request).removeprefix("given too").split()
        right = request.sample_idx % 2 if not words else len(words) <= 1
        return said("p q r s", "18" if right else "17")

    tree, engine = run_omega(write, root=root, n_searches=1)
    assert [s.first_error_idx for s in tree.searched] == [3]
    assert all("given" in r.prompt for r in asked(engine))
    states = [n.state for n in tree.nodes()]
    assert [s.provenance for s in states[1].steps] == ["human", "human", "model"]


def test_a_bisection_that_cannot_be_decided_is_counted_and_leaves_the_pool() -> None:
    def write(request: CompletionRequest) -> str:
        if words_in(request):
            return said("x", "several")
        return said("a b c", "18") if request.sample_idx else said("a b d")

    tree, _ = run_omega(write)
    assert [s.first_error_idx for s in tree.searched] == [None]
    assert tree.pool == []
    assert tree.root.n_visits == 1
    assert nodes_of(tree)["a"].estimate is None


def toy_tree(
    walk: int, *, batch_size: int = 64, concurrency: int = 1, **settings: Any
) -> OmegaTree:
    engine = toy_engine(batch_size=batch_size, concurrency=concurrency)
    root = Trace(toy_question(TARGET, walk))
    defaults = {"n_screening": 16, "n_rollouts": 8}
    return run_omega(engine, root=root, verify=IS_TARGET, **{**defaults, **settings})[0]


def test_no_rollout_is_searched_twice_and_no_state_measured_twice() -> None:
    n_searched = n_tokens = 0
    for walk in range(8):
        engine = toy_engine(batch_size=64)
        root = Trace(toy_question(TARGET, walk))
        tree, _ = run_omega(engine, root=root, verify=IS_TARGET, n_screening=16, n_rollouts=8)
        traces = [s.candidate.trace for s in tree.searched]
        assert len(set(traces)) == len(traces)
        assert not {c.trace for c in tree.pool} & set(traces)
        assert len({r.identity for r in asked(engine)}) == len(asked(engine)) == len(tree.rollouts)
        assert tree.root.n_visits <= len(traces)
        assert sum(n.n_visits for n in tree.nodes()) == len(traces)
        n_searched += len(traces)
        n_tokens += sum(r.n_tokens for r in tree.rollouts)
    assert n_searched > 80


@pytest.mark.slow
def test_every_first_error_lies_between_a_state_that_succeeds_and_one_that_does_not() -> None:
    n_inner = 0
    for walk in range(6):
        tree = toy_tree(walk)
        nodes = {state_key(n.state): n for n in tree.nodes()}
        for search in tree.searched:
            trace, idx = search.candidate.trace, search.first_error_idx
            assert idx is not None
            before = nodes[state_key(trace.prefix(idx))].estimate
            assert before is not None and before > 0
            if idx + 1 < len(trace.steps):
                n_inner += 1
                assert nodes[state_key(trace.prefix(idx + 1))].estimate == 0
    assert n_inner > 20


@pytest.mark.slow
def test_measured_states_succeed_as_often_as_they_should() -> None:
    n = n_right = 0
    expected = variance = 0.0
    for walk in range(30):
        for found in toy_tree(walk).nodes():
            assert isinstance(found, OmegaNode)
            if found.parent is None:
                continue
            truth = toy_value(found.state)
            for drawn in found.rollouts:
                assert drawn.state is found.state
                n, n_right = n + 1, n_right + (drawn.verdict.outcome is Outcome.CORRECT)
                expected, variance = expected + truth, variance + truth * (1 - truth)
    assert n > 3_000
    assert abs(n_right - expected) < 2 * sqrt(variance)


def test_stopping_at_the_first_success_asks_each_state_no_further() -> None:
    n_stopped = 0
    for walk in range(6):
        tree = toy_tree(walk, stop_at_first_success=True)
        for found in tree.nodes():
            assert isinstance(found, OmegaNode)
            if found.parent is not None and found.rollouts:
                rights = [r.verdict.outcome is Outcome.CORRECT for r in found.rollouts]
                assert not any(rights[:-1])
                assert rights[-1] or len(rights) == 8
                n_stopped += rights[-1]
        assert len(tree.root.rollouts) == 16
    assert n_stopped > 10


def test_a_tree_prints_in_one_short_line() -> None:
    """The event loop prints what its main task returns; node by node that outlasts the search."""
    tree = toy_tree(3)
    assert len(repr(tree)) < 120
    assert repr(next(iter(tree.root.below))) == "<OmegaNode n_steps=1 n_visits=0>"


def shape(tree: OmegaTree) -> list[Any]:
    return [
        *((prompt_of(n.state), n.n_visits, n.estimate) for n in tree.nodes()),
        *((prompt_of(s.candidate.trace), s.first_error_idx) for s in tree.searched),
        *((r.request.identity, r.reading) for r in tree.rollouts),
    ]


def test_the_tree_does_not_depend_on_how_its_requests_are_batched() -> None:
    assert shape(toy_tree(3)) == shape(toy_tree(3, batch_size=3, concurrency=4))
    assert len(toy_tree(3).searched) > 3


def test_a_search_that_is_repeated_gives_an_equal_tree_and_asks_nothing() -> None:
    root, config = Trace(toy_question(TARGET, 3)), OmegaConfig(n_screening=16)
    with Journal(":memory:") as journal:
        trees: list[OmegaTree] = []
        for fail_after in (None, 0):
            scheduler = Scheduler[OmegaTree](toy_engine(fail_after=fail_after), journal)
            trees.append(scheduler.run([("t", omega(root, config, IS_TARGET))])["t"])
    assert shape(trees[0]) == shape(trees[1])
    assert scheduler.progress.n_replayed == len(trees[0].rollouts)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [False, True])
def test_a_budget_that_runs_out_anywhere_leaves_a_whole_tree(stop: bool) -> None:
    whole = toy_tree(3, stop_at_first_success=stop)
    ids = [r.request.identity for r in whole.rollouts]
    n_searched: list[int] = []
    for max_tokens in (*range(1, 2_500, 40), None):
        tree, _ = run_omega(
            toy_engine(batch_size=2),
            root=Trace(toy_question(TARGET, 3)),
            verify=IS_TARGET,
            budget=Budget(max_tokens=max_tokens),
            n_screening=16,
            n_rollouts=8,
            stop_at_first_success=stop,
        )
        drawn = [r.request.identity for r in tree.rollouts]
        assert drawn == ids[: len(drawn)]
        assert (tree.screening is None) == (not tree.root.rollouts)
        assert sum(n.n_visits for n in tree.nodes()) == len(tree.searched)
        for found in tree.nodes():
            assert isinstance(found, OmegaNode)
            if stop and found.parent and found.estimate == 0:
                assert len(found.rollouts) == 8  # none was given up before its last try
        n_searched.append(len(tree.searched))
    assert n_searched == sorted(n_searched)
    assert (n_searched[0], n_searched[-1]) == (0, len(whole.searched))
    assert len(set(n_searched)) > 4


# ---- tables

SEEDS = Seed.from_rows(
    [
        {
            "seed_id": f"s{walk}",
            "source": "toy",
            "license": "CC0-1.0",
            "domain": "math",
            "question": toy_question(TARGET, walk),
            "thought": "0+1=1\n1+1=2\n",
            "steps": ["0+1=1\n", "1+1=2\n"],
            "factors": ["Compute"] * 2,
            "answer": str(TARGET),
            "verifier": "numeric",
            "facts": [],
            "meta": "{}",
        }
        for walk in range(5)
    ]
)
PREFIXES = make_prefixes(SEEDS, n_prefixes=1)
CONFIG = GenerateConfig(
    algorithm="omega",
    omega=OmegaConfig(n_screening=8, n_searches=6, n_rollouts=4, rollout=SAMPLING),
)


def tables(**options: Any) -> SearchTables:
    with Journal(":memory:") as journal:
        return search_prefixes(
            PREFIXES, toy_engine(batch_size=32), journal, config=CONFIG, **options
        )


def test_a_run_by_omega_keeps_the_contracts_and_gives_equal_tables_again() -> None:
    found = tables()
    RolloutContract.validate(found.rollouts)
    Node.validate(found.nodes)
    assert set(found.rollouts["algorithm"]) == {"omega"}
    assert found.rollouts["node_id"].null_count() == 0
    assert set(found.nodes["prefix_id"]) == set(PREFIXES["prefix_id"])
    assert found.rollouts["rollout_id"].is_unique().all()
    again = tables()
    assert_frame_equal(found.rollouts, again.rollouts)
    assert_frame_equal(found.nodes, again.nodes)


def test_the_nodes_of_omega_are_written_down_step_by_step_with_their_estimates() -> None:
    found = tables()
    by_prefix = {row["prefix_id"]: row for row in PREFIXES.iter_rows(named=True)}
    depths = dict(found.nodes.select("node_id", "depth").iter_rows())
    n_measured = n_passed = 0
    for row in found.nodes.iter_rows(named=True):
        own = found.rollouts.filter(pl.col("node_id") == row["node_id"])
        if row["parent_id"] is not None:
            assert row["depth"] == depths[row["parent_id"]] + 1
            assert row["n_tokens"] > 0
            assert row["min_logprob"] < 0
            assert row["completion_key"] in set(found.rollouts["completion_key"])
        if own.height:
            right = (own["outcome"] == "correct").sum()
            assert row["value"] == right / own.height
            assert row["n_rollouts"] >= own.height
            n_measured += 1
        else:
            assert row["value"] is None
            assert row["n_rollouts"] > 0  # the searched rollout came through
            n_passed += 1
        assert row["step_idx"] == by_prefix[row["prefix_id"]]["n_steps"] - 1 + row["depth"]
    assert n_measured > 15
    assert n_passed > 5
    searched = found.nodes.group_by("prefix_id").agg(pl.col("n_visits").sum())
    assert 0 < searched["n_visits"].max() <= 6


@pytest.mark.slow
def test_the_progress_bar_of_a_run_by_omega_expects_its_screening_and_its_searches() -> None:
    expected: list[int] = []
    tables(on_progress=lambda progress: expected.append(progress.n_expected))
    # Per prefix 8 from the root, and 6 searches of one ask of 4 rollouts where two steps are left
    # and of none where one is.
    left = [r["n_seed_steps"] - r["n_steps"] for r in PREFIXES.iter_rows(named=True)]
    assert sorted(set(left)) == [1, 2]
    assert set(expected) == {sum(8 + 6 * (n - 1) * 4 for n in left)}


def test_evidence_on_the_searched_states_is_on_policy() -> None:
    """The tables count what the rollouts show, which is more than the search's own estimate."""
    tree = toy_tree(1)
    tallies = tally(tree.rollouts)
    nodes = [n for n in tree.nodes() if isinstance(n, OmegaNode)]
    passed = [n for n in nodes if not n.rollouts]
    assert all(tallies[state_key(n.state)].n_rollouts > 0 for n in passed)
    assert any(tallies[state_key(n.state)].n_rollouts > len(n.rollouts) > 0 for n in nodes)


def test_the_settings_choose_the_algorithm_and_its_effort() -> None:
    settings = {
        "algorithm": "omega",
        "n_simulations": 7,
        "n_root_rollouts": 9,
        "n_bisect_rollouts": 3,
        "temperature": 0.5,
        "max_tokens": 77,
    }
    config = load_settings(None, search=settings).search.generate_config(NATIVE)
    sampling = Sampling(temperature=0.5, max_tokens=77)
    assert config.algorithm == "omega"
    assert config.omega == OmegaConfig(n_screening=9, n_searches=7, n_rollouts=3, rollout=sampling)
    assert config.puct.rollout == config.best_of_n.rollout == sampling
    with Journal(":memory:") as journal:
        search = generate(Trace(toy_question(TARGET)), config, IS_TARGET)
        tree = Scheduler[Any](toy_engine(), journal).run([("t", search)])["t"]
    assert isinstance(tree, OmegaTree)
    assert len(tree.root.rollouts) == 9
