"""Policy and value targets, and traces that a search put together, from real trees."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isclose
from typing import Any

import polars as pl
import pytest

from datagen.code.traces import without_code
from datagen.config import EngineSettings
from datagen.engines.fake import FakeEngine, toy_engine, toy_prefer, toy_question, toy_write
from datagen.engines.protocol import ChoiceRequest, CompletionRequest
from datagen.engines.registry import open_engine
from datagen.export.policy_value import export_policy_value
from datagen.factors.taxonomy import ACTIONS, TAXONOMY_VERSION, Factor
from datagen.journal import Journal
from datagen.labels.monte_carlo import label_steps
from datagen.measure import pick_traces
from datagen.publish.card.statistics import trace_statistics
from datagen.reasoner.bundle import SEEDS
from datagen.search.generate import GenerateConfig
from datagen.search.puct import PuctConfig
from datagen.search.run import SearchTables, search_prefixes
from datagen.seeds import read_seeds
from datagen.traces.assemble import assemble_traces
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.paths import node_paths
from datagen.traces.prefixes import make_prefixes
from schemas import PolicyValue, Prefix, Seed, Trace

Row = dict[str, Any]


def run(prefixes: pl.DataFrame, engine: Any, algorithm: Any = "puct", **puct: Any) -> SearchTables:
    # Without reuse, trees end in steps that no rollout wrote.
    config = GenerateConfig(algorithm=algorithm, puct=PuctConfig(**{"reuse": False, **puct}))
    with Journal(":memory:") as journal:
        return search_prefixes(prefixes, engine, journal, config=config)


def seed(walk: int) -> Row:
    target = 4 + walk % 4
    steps = [f"{at}+1={at + 1}\n" for at in range(target)]
    return {
        "seed_id": f"s{walk}",
        "source": "toy",
        "license": "CC0-1.0",
        "domain": "math",
        "question": toy_question(target, walk),
        "thought": "".join(steps),
        "steps": steps,
        "factors": ["Compute"] * target,
        "answer": str(target),
        "verifier": "numeric",
        "facts": [],
        "meta": "{}",
    }


TOY_SEEDS = Seed.from_rows([seed(walk) for walk in range(6)])
TOY_PREFIXES = make_prefixes(TOY_SEEDS, n_prefixes=1)


@dataclass(slots=True)
class Case:
    """A finished run and its targets."""

    seeds: pl.DataFrame
    prefixes: pl.DataFrame
    found: SearchTables
    targets: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        self.targets = export_policy_value(self.found.nodes, self.found.rollouts, self.prefixes)


@pytest.fixture(scope="module")
def toy() -> Case:
    found = run(
        TOY_PREFIXES, toy_engine(batch_size=64), n_simulations=12, n_root_rollouts=3, n_rollouts=3
    )
    return Case(TOY_SEEDS, TOY_PREFIXES, found)


@pytest.fixture(scope="module")
def reasoner() -> Case:
    """A few of the bundled questions, searched with the embedded reasoner."""
    seeds = read_seeds(str(SEEDS), limit=4).seeds
    prefixes = make_prefixes(seeds, n_prefixes=1)
    engine = open_engine(EngineSettings())
    return Case(seeds, prefixes, run(prefixes, engine, n_simulations=8, n_root_rollouts=4))


cases = pytest.mark.parametrize("name", ["toy", pytest.param("reasoner", marks=pytest.mark.slow)])


@pytest.fixture
def case(name: str, request: pytest.FixtureRequest) -> Case:
    return request.getfixturevalue(name)


@dataclass(slots=True)
class Tree:
    """A tree rebuilt from the table, with what a replay of its simulations counts."""

    rows: Mapping[str, Row]
    children: dict[str, dict[str, Row]]
    n: dict[str, int]
    total: dict[str, float]


def replay(nodes: pl.DataFrame) -> Tree:
    """Send the recorded evaluations up the trees, one simulation after the other.

    How many simulations ended in a state: its first look, and for an end each further visit.
    """
    rows = {row["node_id"]: row for row in nodes.iter_rows(named=True)}
    children: dict[str, dict[str, Row]] = {}
    for row in rows.values():
        if row["chosen"] and row["parent_id"] is not None:
            children.setdefault(row["parent_id"], {})[row["factor"]] = row
    n = dict.fromkeys(rows, 0)
    total = dict.fromkeys(rows, 0.0)
    for row in rows.values():
        if not row["chosen"]:
            continue
        for _ in range(1 if row["outcome"] is None else row["n_visits"]):
            at = row
            while True:
                n[at["node_id"]] += 1
                total[at["node_id"]] += row["evaluation"]
                if at["parent_id"] is None:
                    break
                at = rows[at["parent_id"]]
    return Tree(rows, children, n, total)


@cases
def test_there_is_a_row_for_each_state_that_the_search_went_on_from(case: Case) -> None:
    PolicyValue.validate(case.targets)
    nodes = case.found.nodes
    inner = nodes.filter(pl.col("n_visits") > 1, pl.col("outcome").is_null())
    assert set(case.targets["id"]) == set(inner["node_id"])
    assert case.targets.height > 10
    assert case.targets["seed_id"].is_sorted()
    assert set(case.targets["taxonomy"]) == {TAXONOMY_VERSION}


@cases
def test_pi_is_the_share_of_visits_over_the_legal_factors(case: Case) -> None:
    order = [factor.value for factor in ACTIONS]
    for row in case.targets.iter_rows(named=True):
        assert isclose(sum(row["pi"]), 1, abs_tol=1e-12)
        assert isclose(sum(row["prior"]), 1, abs_tol=1e-9)
        assert row["legal_factors"] == sorted(row["legal_factors"], key=order.index)
        total = sum(row["visits"])
        assert row["pi"] == pytest.approx([n / total for n in row["visits"]], abs=1e-12)


@cases
def test_visits_and_values_are_those_of_a_replay_of_the_simulations(case: Case) -> None:
    tree = replay(case.found.nodes)
    n_unvisited = 0
    for row in case.targets.iter_rows(named=True):
        state = row["id"]
        assert row["n_visits"] == tree.n[state]
        assert isclose(row["value"], tree.total[state] / tree.n[state])
        for factor, visits, q in zip(row["legal_factors"], row["visits"], row["q"], strict=True):
            child = tree.children[state].get(factor)
            if child is None:
                n_unvisited += 1
                assert (visits, q) == (0, None)
            else:
                assert visits == tree.n[child["node_id"]] == child["n_visits"]
                assert isclose(q, tree.total[child["node_id"]] / visits)
    assert n_unvisited > 0


@cases
def test_the_identity_of_visits_and_values_holds_in_the_table_alone(case: Case) -> None:
    evaluations = dict(case.found.nodes.select("node_id", "evaluation").iter_rows())
    for row in case.targets.iter_rows(named=True):
        assert row["n_visits"] == 1 + sum(row["visits"])
        backed_up = evaluations[row["id"]] + sum(
            n * (q or 0.0) for n, q in zip(row["visits"], row["q"], strict=True)
        )
        assert isclose(row["n_visits"] * row["value"], backed_up)
    ends = case.found.nodes.filter(pl.col("outcome").is_not_null(), pl.col("n_visits") > 0)
    assert ends.height > 0
    assert (ends["value"] - ends["evaluation"]).abs().max() == 0


def state_of(row: Row, tree: Tree, prefixes: Mapping[str, Row]) -> list[tuple[str, str]]:
    steps: list[tuple[str, str]] = []
    at = row
    while at["parent_id"] is not None:
        steps.insert(0, (at["factor"], at["text"]))
        at = tree.rows[at["parent_id"]]
    prefix = prefixes[row["prefix_id"]]
    return [*zip(prefix["factors"], prefix["steps"], strict=True), *steps]


@cases
def test_the_state_is_spelt_out_with_the_steps_of_its_prefix(case: Case) -> None:
    tree = replay(case.found.nodes)
    prefixes = {row["prefix_id"]: row for row in case.prefixes.iter_rows(named=True)}
    for row in case.targets.iter_rows(named=True):
        node = tree.rows[row["id"]]
        steps = state_of(node, tree, prefixes)
        assert list(zip(row["factors"], row["steps"], strict=True)) == steps
        assert row["question"] == prefixes[row["prefix_id"]]["question"]
        assert row["depth"] == node["depth"]
        said = "".join(f"<ACT_{f}-Start> {text} <ACT_{f}-End>\n" for f, text in steps)
        assert row["prompt"] == f"Question: {row['question']}\n<Think_Start>\n{said}"


@cases
def test_the_segment_is_that_of_the_factor_taken_most_often(case: Case) -> None:
    tree = replay(case.found.nodes)
    for row in case.targets.iter_rows(named=True):
        most = max(row["visits"])
        at = row["legal_factors"].index(row["chosen_factor"])
        rivals = [i for i, n in enumerate(row["visits"]) if n == most]
        assert at in rivals
        best = max(rivals, key=lambda i: (row["q"][i], row["prior"][i], -i))
        assert at == best
        assert row["segment"] == tree.children[row["id"]][row["chosen_factor"]]["text"]


@cases
def test_the_outcome_is_how_the_trace_of_the_chosen_factors_ended(case: Case) -> None:
    tree = replay(case.found.nodes)
    chosen = {row["id"]: row["chosen_factor"] for row in case.targets.iter_rows(named=True)}
    drawn: dict[str, str] = {}
    for rollout in case.found.rollouts.iter_rows(named=True):
        if rollout["outcome"] in ("correct", "wrong"):
            drawn.setdefault(rollout["node_id"], rollout["outcome"])
    for row in case.targets.iter_rows(named=True):
        at = tree.rows[row["id"]]
        while at["node_id"] in chosen:
            at = tree.children[at["node_id"]][chosen[at["node_id"]]]
        ended = at["outcome"] if at["outcome"] is not None else drawn.get(at["node_id"])
        assert row["outcome"] == (ended if ended in ("correct", "wrong") else None)
    assert {"correct", "wrong"} <= set(case.targets["outcome"])


def test_of_equal_visits_the_higher_q_wins_then_the_higher_prior_then_the_taxonomy() -> None:
    prefix: Row = {
        "prefix_id": "p",
        "seed_id": "s",
        "n_steps": 0,
        "n_seed_steps": 1,
        "question": "q",
        "steps": [],
        "factors": [],
        "answer": "1",
        "verifier": "numeric",
    }
    found = run(Prefix.from_rows([prefix]), toy_engine_of_one(), n_simulations=0)
    root = found.nodes.row(0, named=True)

    def chosen(*actions: tuple[str, int, float, float]) -> str:
        legal = root | {
            "legal_factors": [factor for factor, *_ in actions],
            "priors": [prior for *_, prior in actions],
            "n_visits": 1 + sum(n for _, n, *_ in actions),
            "value": 0.5,
        }
        children = [
            root
            | {
                "node_id": factor,
                "parent_id": root["node_id"],
                "depth": 1,
                "factor": factor,
                "text": f"by {factor}",
                "n_visits": n,
                "value": q,
                "completion_key": "k",
            }
            for factor, n, q, _ in actions
        ]
        nodes = pl.DataFrame([legal, *children], schema=found.nodes.schema)
        (row,) = export_policy_value(nodes, found.rollouts, Prefix.from_rows([prefix])).to_dicts()
        assert row["segment"] == f"by {row['chosen_factor']}"
        return row["chosen_factor"]

    assert chosen(("Plan", 1, 1.0, 0.5), ("Compute", 2, 0.0, 0.5)) == "Compute"
    assert chosen(("Plan", 2, 0.25, 0.75), ("Compute", 2, 0.5, 0.25)) == "Compute"
    assert chosen(("Plan", 2, 0.5, 0.25), ("Compute", 2, 0.5, 0.75)) == "Compute"
    assert chosen(("Plan", 2, 0.5, 0.5), ("Compute", 2, 0.5, 0.5)) == "Plan"


def toy_engine_of_one() -> FakeEngine:
    return FakeEngine(lambda request: "1")


def test_only_trees_of_puct_have_targets() -> None:
    for algorithm in ("beam", "revise", "omega", "best_of_n"):
        found = run(TOY_PREFIXES.head(2), toy_engine(batch_size=64), algorithm)
        assert export_policy_value(found.nodes, found.rollouts, TOY_PREFIXES).is_empty()


def test_trees_that_were_never_gone_on_from_have_no_targets() -> None:
    found = run(TOY_PREFIXES.head(2), toy_engine(batch_size=64), n_simulations=0)
    assert export_policy_value(found.nodes, found.rollouts, TOY_PREFIXES).is_empty()


# ---- traces that the search put together


def from_roots(found: SearchTables) -> pl.DataFrame:
    """Rollouts from the roots alone; those from within the trees find most of their ends too."""
    return found.rollouts.join(found.nodes.filter(depth=0), on="node_id", how="semi")


@cases
def test_traces_that_end_in_the_tree_are_rows_right_and_wrong(case: Case) -> None:
    found = case.found
    traces = assemble_traces(case.seeds, case.prefixes, from_roots(found), found.nodes)
    Trace.validate(traces)
    ends = found.nodes.filter(pl.col("outcome").is_in(["correct", "wrong"]))
    built = traces.filter(pl.col("node_id").is_not_null())
    assert built.height > 0
    assert set(built["node_id"]) <= set(ends["node_id"])
    assert built["rollout_id"].null_count() == built.height
    tree = replay(found.nodes)
    prefixes = {row["prefix_id"]: row for row in case.prefixes.iter_rows(named=True)}
    for row in built.iter_rows(named=True):
        node = tree.rows[row["node_id"]]
        steps = state_of(node, tree, prefixes)
        assert list(zip(row["factors"], row["steps"], strict=True)) == steps
        assert (row["outcome"], row["answer"]) == (node["outcome"], node["answer"])
        prefix = prefixes[row["prefix_id"]]
        assert (row["gold"], row["n_human_steps"]) == (prefix["answer"], prefix["n_steps"])
        keys: list[str] = []
        while node["parent_id"] is not None:
            keys.insert(0, node["completion_key"])
            node = tree.rows[node["parent_id"]]
        human = [f"{row['seed_id']}#{idx}" for idx in range(prefix["n_steps"])]
        assert row["step_source"] == [*human, *keys]
        assert row["step_provenance"] == ["human"] * len(human) + ["model"] * len(keys)
        assert row["engine"] == found.rollouts["engine"][0]


def test_equal_traces_are_one_row_and_a_rollout_comes_first(toy: Case) -> None:
    found = toy.found
    drawn = assemble_traces(toy.seeds, toy.prefixes, found.rollouts)
    traces = assemble_traces(toy.seeds, toy.prefixes, found.rollouts, found.nodes)
    assert traces.head(drawn.height).equals(drawn)
    assert drawn["node_id"].null_count() == drawn.height
    assert traces["trace_id"].is_unique().all()
    ends = found.nodes.filter(pl.col("outcome").is_in(["correct", "wrong"]))
    assert traces.height - drawn.height < ends.height  # some were drawn as well
    alone = assemble_traces(toy.seeds.clear(), toy.prefixes, found.rollouts.clear(), found.nodes)
    assert alone["engine"].null_count() == alone.height == alone["node_id"].n_unique()


def test_a_trace_that_was_put_together_is_no_rollout_in_any_figure(toy: Case) -> None:
    drawn = assemble_traces(toy.seeds, toy.prefixes, from_roots(toy.found))
    traces = assemble_traces(toy.seeds, toy.prefixes, from_roots(toy.found), toy.found.nodes)
    n_built = traces.height - drawn.height
    assert n_built > 0
    before, after = trace_statistics(drawn), trace_statistics(traces)
    assert after.outcomes == before.outcomes
    assert (after.n_human, after.n_code, after.n_correct, after.n_decided) == (
        before.n_human,
        before.n_code,
        before.n_correct,
        before.n_decided,
    )
    assert (before.n_built, after.n_built) == (0, n_built)
    picked = pick_traces(traces, toy.found.rollouts, n_right=99, n_wrong=99)
    assert picked["node_id"].null_count() == picked.height > 0


def test_rollouts_label_a_trace_that_was_put_together_too(toy: Case) -> None:
    traces = assemble_traces(toy.seeds, toy.prefixes, from_roots(toy.found), toy.found.nodes)
    assert without_code(traces).equals(traces)
    built = traces.filter(pl.col("node_id").is_not_null())
    labels = label_steps(traces, toy.found.rollouts).join(built, on="trace_id", how="semi")
    assert labels.height == built["steps"].list.len().sum()
    assert (labels["n_trials"] > 0).any()


def test_the_answer_at_an_end_is_what_the_verifier_read() -> None:
    def write(request: CompletionRequest) -> str:
        answers = str(request.prompt).endswith(start_tag(Factor.ANSWER))
        opening = "" if answers else start_tag(Factor.ANSWER)
        return f"{opening}so{end_tag(Factor.ANSWER)}{THINK_END}it is \\boxed{{5}}"

    def prefer(request: ChoiceRequest) -> list[float]:
        return [float(choice == start_tag(Factor.ANSWER)) for choice in request.choices]

    found = run(TOY_PREFIXES.head(1), FakeEngine(write, prefer), n_simulations=1)
    assert found.nodes["answer"].to_list() == [None, "5"]
    traces = assemble_traces(TOY_SEEDS.clear(), TOY_PREFIXES, found.rollouts, found.nodes)
    assert traces.select("answer", "node_id").rows() == [("5", None)]  # a rollout said the same


def test_paths_of_a_table_without_trees_are_none() -> None:
    found = run(TOY_PREFIXES.clear(), FakeEngine(toy_write, toy_prefer))
    assert node_paths(found.nodes, TOY_PREFIXES).is_empty()
    assert export_policy_value(found.nodes, found.rollouts, TOY_PREFIXES).is_empty()
