"""The whole search from prefixes to tables, on a toy policy that also misbehaves."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datagen.engines.fake import FakeEngine, toy_prefer, toy_question, toy_write
from datagen.engines.protocol import ChoiceRequest, Completion, CompletionRequest, Sampling
from datagen.errors import EngineError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.labels.monte_carlo import label_steps
from datagen.search.budget import Budget
from datagen.search.generate import GenerateConfig
from datagen.search.puct import PuctConfig
from datagen.search.run import RunProgress, SearchTables, search_prefixes, verifier_of
from datagen.traces.assemble import assemble_traces
from datagen.traces.markup import THINK_END, end_tag, escape, start_tag
from datagen.traces.prefixes import make_prefixes, prefix_trace
from schemas import Node, Prefix, Rollout, Seed

Row = dict[str, Any]
END = end_tag(Factor.COMPUTE)


def seed(target: int, walk: int) -> Row:
    """A person's walk by ones."""
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


SEEDS = Seed.from_rows([seed(4 + walk % 3, walk) for walk in range(12)])
PREFIXES = make_prefixes(SEEDS, n_prefixes=2)
CONFIG = GenerateConfig(
    puct=PuctConfig(
        n_simulations=5,
        n_root_rollouts=4,
        max_step_tokens=12,
        rollout=Sampling(max_tokens=30),
        reuse=False,
    )
)


def unruly(request: CompletionRequest) -> str:
    """The toy policy, of whose completions about every third is broken in some way."""
    text = toy_write(request)
    gold = re.findall(r"Reach (\d+)", request.prompt)[0]
    match request.seed % 18:
        case 0:
            return text.partition(THINK_END)[0]  # never ends its thought
        case 1:
            return f"{text} and some more apples, or 3"
        case 2:
            return f"so the answer is {gold}.\n{text.partition(THINK_END)[0]}"
        case 3:
            return "\ud800 surrogate " + text
        case 4:
            return f"the answer is {gold}. " + "on and on " * 40
        case 5:
            return text.replace("<ACT_Compute", "<ACT_Compote")
        case _:
            return text


def unruly_engine(**options: Any) -> FakeEngine:
    return FakeEngine(unruly, toy_prefer, **{"batch_size": 32, **options})


def search(engine: FakeEngine, path: Path | str = ":memory:", **options: Any) -> SearchTables:
    with Journal(path) as journal:
        return search_prefixes(PREFIXES, engine, journal, config=CONFIG, **options)


@pytest.fixture(scope="module")
def journal_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "journal"


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return unruly_engine()


@pytest.fixture(scope="module")
def found(journal_path: Path, engine: FakeEngine) -> SearchTables:
    return search(engine, journal_path)


@pytest.fixture(scope="module")
def completions(journal_path: Path, found: SearchTables) -> Mapping[str, Completion]:
    with Journal(journal_path) as journal:
        answers = journal.look_up(list(journal.keys()))
    return {key: answer for key, answer in answers.items() if isinstance(answer, Completion)}


# ---- tables


def test_the_tables_keep_their_contracts(found: SearchTables) -> None:
    Rollout.validate(found.rollouts)
    Node.validate(found.nodes)
    assert found.rollouts["rollout_id"].is_unique().all()
    assert found.nodes["node_id"].is_unique().all()


def test_every_prefix_has_a_tree_and_rollouts_in_the_order_of_the_prefixes(
    found: SearchTables,
) -> None:
    ids = PREFIXES["prefix_id"].to_list()
    assert found.rollouts["prefix_id"].unique(maintain_order=True).to_list() == ids
    assert found.nodes["prefix_id"].unique(maintain_order=True).to_list() == ids
    roots = found.nodes.filter(pl.col("depth") == 0)
    assert roots["prefix_id"].to_list() == ids
    assert set(roots["n_visits"]) == {1 + CONFIG.puct.n_simulations}


def test_every_kind_of_outcome_occurs(found: SearchTables) -> None:
    assert set(found.rollouts["outcome"]) == {"correct", "wrong", "unverifiable", "truncated"}
    assert set(found.rollouts["algorithm"]) == {"puct"}


def true_outcome(completion: Completion, gold: str) -> str:
    """What became of a completion, read in the plainest way."""
    _, closed, answer = completion.text.partition("<Think_End>\n")
    if completion.finish != "stop":
        return "truncated"
    if not closed or not answer.isdigit():
        return "unverifiable"
    return "correct" if answer == gold else "wrong"


def test_each_outcome_is_what_a_plain_reading_of_the_completion_gives(
    found: SearchTables, completions: Mapping[str, Completion]
) -> None:
    for row in found.rollouts.iter_rows(named=True):
        completion = completions[row["completion_key"]]
        expected = true_outcome(completion, row["gold"])
        assert row["outcome"] == expected, completion.text
        if expected in ("correct", "wrong"):
            assert row["answer"] == completion.text.partition("<Think_End>\n")[2]


def test_a_whole_walk_is_right_if_it_meets_its_target(found: SearchTables) -> None:
    whole = found.rollouts.filter(
        (pl.col("tail") == "") & pl.col("outcome").is_in(["correct", "wrong"])
    )
    assert whole.height > 150
    for row in whole.iter_rows(named=True):
        at = 0
        for numbers in re.findall(r"(\d+)\+(\d+)=(\d+)", "\n".join(row["steps"])):
            before, add, after = map(int, numbers)
            assert (before, before + add) == (at, after)
            at = after
        assert row["outcome"] == ("correct" if str(at) == row["gold"] else "wrong")


def test_token_counts_and_log_probabilities_belong_to_their_steps(
    found: SearchTables, completions: Mapping[str, Completion]
) -> None:
    for row in found.rollouts.filter(pl.col("answer").is_not_null()).iter_rows(named=True):
        completion = completions[row["completion_key"]]
        assert row["n_tokens"] == completion.n_tokens
        assert sum(row["step_n_tokens"]) <= completion.n_tokens
        own = zip(
            row["steps"][row["n_given_steps"] :],
            row["factors"][row["n_given_steps"] :],
            row["step_n_tokens"],
            row["step_min_logprob"],
            strict=True,
        )
        at = 0
        for text, factor, n_tokens, logprob in own:
            written = f"{start_tag(Factor(factor))}{text}{end_tag(Factor(factor))}"
            assert n_tokens == len(_tokens(written))
            assert logprob == min(-len(token) / 10 for token in _tokens(written))
            at += n_tokens
            assert completion.ends[at - 1] <= len(completion.text)


def _tokens(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


def test_lone_surrogates_of_a_broken_model_do_not_reach_the_tables(
    found: SearchTables, completions: Mapping[str, Completion]
) -> None:
    broken = [key for key, c in completions.items() if "\ud800" in c.text]
    rows = found.rollouts.filter(pl.col("completion_key").is_in(broken))
    assert rows.height > 5
    assert all("\ufffd surrogate" in row["tail"] for row in rows.iter_rows(named=True))


def test_every_step_says_where_it_came_from(
    found: SearchTables, completions: Mapping[str, Completion]
) -> None:
    n_human = dict(PREFIXES.select("prefix_id", "n_steps").iter_rows())
    kinds = set[str]()
    for row in found.rollouts.iter_rows(named=True):
        for idx, (text, source) in enumerate(zip(row["steps"], row["step_source"], strict=True)):
            if idx < n_human[row["prefix_id"]]:
                assert source == f"{row['seed_id']}#{idx}"
                kinds.add("human")
            else:
                wrote = completions[source].text.replace("\ud800", "\ufffd")
                assert escape(text) in wrote
                own = idx >= row["n_given_steps"]
                assert (source == row["completion_key"]) == own
                kinds.add("own" if own else "given")
    assert kinds == {"human", "given", "own"}


def test_a_rollout_names_the_node_of_its_state(found: SearchTables) -> None:
    states = states_of(found.nodes)
    ended = set(found.nodes.filter(pl.col("outcome").is_not_null())["node_id"])
    for row in found.rollouts.iter_rows(named=True):
        assert states[row["node_id"]] == steps_of(row)[: row["n_given_steps"]]
        assert row["node_id"] not in ended


def steps_of(row: Row) -> list[tuple[str, str]]:
    return list(zip(row["factors"], row["steps"], strict=True))


def states_of(nodes: pl.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """Factor and text of each step of each node's state, by ``node_id``."""
    given = {
        row["prefix_id"]: list(zip(row["factors"], row["steps"], strict=True))
        for row in PREFIXES.iter_rows(named=True)
    }
    states: dict[str, list[tuple[str, str]]] = {}
    for node in nodes.iter_rows(named=True):  # parents stand before children
        if node["parent_id"] is None:
            states[node["node_id"]] = given[node["prefix_id"]]
        else:
            states[node["node_id"]] = [*states[node["parent_id"]], (node["factor"], node["text"])]
        assert node["step_idx"] == len(states[node["node_id"]]) - 1
    return states


def test_a_nodes_evidence_can_be_counted_again_from_the_rollouts(found: SearchTables) -> None:
    states = states_of(found.nodes)
    n_through = 0
    for node in found.nodes.iter_rows(named=True):
        state = states[node["node_id"]]
        outcomes: list[str] = []
        for row in found.rollouts.filter(prefix_id=node["prefix_id"]).iter_rows(named=True):
            reached = steps_of(row)[: len(state)] == state and row["n_given_steps"] <= len(state)
            if reached and row["outcome"] in ("correct", "wrong"):
                outcomes.append(row["outcome"])
                n_through += row["n_given_steps"] < len(state)
        assert node["n_rollouts"] == len(outcomes)
        assert node["n_correct"] == outcomes.count("correct")
    assert n_through > 50


def test_visits_and_choices_make_a_tree(found: SearchTables) -> None:
    for (parent,), children in found.nodes.group_by("parent_id", maintain_order=True):
        if parent is None:
            continue
        (above,) = found.nodes.filter(node_id=parent).iter_rows(named=True)
        assert above["n_visits"] == 1 + children["n_visits"].sum()
        assert above["chosen"]
        assert above["outcome"] is None
        per_factor = children.group_by("factor").agg(pl.col("chosen").sum())
        assert set(per_factor["chosen"]) == {1}
    rejected = found.nodes.filter(~pl.col("chosen"))
    assert rejected.height > 10
    assert set(rejected["n_visits"]) == {0}
    assert rejected["value"].null_count() == rejected.height


def test_a_nodes_segment_is_in_the_journal(
    found: SearchTables, completions: Mapping[str, Completion]
) -> None:
    for node in found.nodes.filter(pl.col("depth") > 0).iter_rows(named=True):
        wrote = completions[node["completion_key"]]
        said = node["text"].removeprefix(start_tag(Factor(node["factor"])))
        raw = wrote.text.replace("\ud800", "\ufffd")
        assert escape(said) in raw or said == raw  # a dead end is kept as it was written
        assert node["n_tokens"] <= wrote.n_tokens
    assert (
        found.nodes.filter(pl.col("depth") == 0)["completion_key"].null_count() == PREFIXES.height
    )


def test_proposals_that_differ_in_their_answer_alone_are_two_nodes() -> None:
    def write(request: CompletionRequest) -> str:
        end = end_tag(Factor.ANSWER)
        return f"4{end}{THINK_END}None" if request.sample_idx % 2 else f"4{end}"

    def prefer(request: ChoiceRequest) -> list[float]:
        return [float(choice == start_tag(Factor.ANSWER)) for choice in request.choices]

    nodes = search(FakeEngine(write, prefer)).nodes
    assert nodes.filter(pl.col("depth") == 1).group_by("prefix_id").len()["len"].unique()[0] == 2


NOISE = [
    *(tag(factor) for factor in (Factor.COMPUTE, Factor.ANSWER) for tag in (start_tag, end_tag)),
    *(THINK_END, "4", "5", "None", "\ud800", "\0", "", "a", "\n", " ", "\\", "<\\ACT_Plan-Start> "),
]


@pytest.mark.parametrize("honours_stops", [True, False])
def test_no_completion_breaks_the_tables(honours_stops: bool) -> None:
    def write(request: CompletionRequest) -> str:
        rng = random.Random(request.seed)
        if rng.random() < 0.5:
            return "".join(rng.choices(NOISE, k=rng.randrange(12)))
        text = "".join(
            f"a{end_tag(Factor.COMPUTE)}{start_tag(Factor.COMPUTE)}"
            for _ in range(rng.randrange(3))
        )
        began = request.prompt.endswith(start_tag(Factor.COMPUTE))
        return f"{text if began else start_tag(Factor.COMPUTE) + text}b{END}{THINK_END}4"

    def prefer(request: ChoiceRequest) -> list[float]:
        likely = {start_tag(Factor.COMPUTE): 0.6, start_tag(Factor.ANSWER): 0.1, THINK_END: 0.1}
        return [likely.get(choice, 0.0) for choice in request.choices]

    class Deaf(FakeEngine):
        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            return await super().complete(
                [
                    replace(r, sampling=replace(r.sampling, stop=())) if not honours_stops else r
                    for r in requests
                ]
            )

    found = search(Deaf(write, prefer))
    assert {"unverifiable", "correct"} <= set(found.rollouts["outcome"])
    traces = assemble_traces(SEEDS, PREFIXES, found.rollouts)
    assert label_steps(traces, found.rollouts).height == traces["steps"].list.len().sum()


# ---- resuming


def test_a_run_that_is_resumed_gives_equal_tables(found: SearchTables, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for n_calls in (0, 2, 9):
        with pytest.raises(EngineError):
            search(unruly_engine(fail_after=n_calls), path)
    again = search(unruly_engine(), path)
    assert_frame_equal(again.rollouts, found.rollouts)
    assert_frame_equal(again.nodes, found.nodes)
    assert again.progress.n_replayed > 0


def test_a_run_that_is_repeated_asks_the_engine_nothing(
    found: SearchTables, journal_path: Path
) -> None:
    again = search(unruly_engine(fail_after=0), journal_path)
    assert_frame_equal(again.rollouts, found.rollouts)
    assert_frame_equal(again.nodes, found.nodes)
    assert again.progress.n_generated == 0


def test_tables_do_not_depend_on_batches_or_on_calls_under_way(found: SearchTables) -> None:
    again = search(unruly_engine(batch_size=5, concurrency=4))
    assert_frame_equal(again.rollouts, found.rollouts)
    assert_frame_equal(again.nodes, found.nodes)


# ---- budgets


def test_a_spent_budget_leaves_smaller_tables_that_keep_their_contracts(
    found: SearchTables,
) -> None:
    heights: list[int] = []
    for max_tokens in (1, 1_000, 2_500, 4_000):
        cut = search(unruly_engine(), budget=Budget(max_tokens=max_tokens))
        assert cut.progress.budget_spent
        assert cut.nodes["prefix_id"].n_unique() == PREFIXES.height
        assert set(cut.rollouts["rollout_id"]) <= set(found.rollouts["rollout_id"])
        heights.append(cut.rollouts.height)
    assert heights == sorted(set(heights))
    assert heights[-1] < found.rollouts.height


def test_progress_counts_rollouts(engine: FakeEngine) -> None:
    seen: list[tuple[int, int]] = []

    def watch(progress: RunProgress) -> None:
        assert progress.engine.n_searches == PREFIXES.height
        # Four from each root, then five simulations of two replicas with a rollout each.
        assert progress.n_expected == (4 + 5 * 2) * PREFIXES.height
        seen.append((progress.n_rollouts, progress.n_correct))

    search(unruly_engine(), on_progress=watch)
    assert seen == sorted(seen)
    assert 0 < seen[-1][1] < seen[-1][0]
    assert seen[-1][0] <= (4 + 5 * 2) * PREFIXES.height


# ---- reading completions


@pytest.mark.parametrize(
    ("text", "finish", "outcome"),
    [
        (f"<ACT_Compute-Start> 9+9=18{END}{THINK_END}18", "stop", "correct"),
        (f"<ACT_Compute-Start> 9+9=18{END}{THINK_END}17", "stop", "wrong"),
        (f"<ACT_Compute-Start> 9+9=18{END}{THINK_END}some", "stop", "unverifiable"),
        (f"<ACT_Compute-Start> the answer is 18{END}", "stop", "unverifiable"),
        ("<ACT_Answer-Start> The answer is 18.\n", "stop", "unverifiable"),
        ("18", "stop", "unverifiable"),
        ("\\boxed{18}", "stop", "unverifiable"),
        (f"<ACT_Compute-Start> the answer is 18.{END}<ACT_Ch", "length", "truncated"),
        (f"<ACT_Compute-Start> 9+9=18{END}{THINK_END}1", "length", "truncated"),
        (f"<ACT_Compute-Start> 9+9=18{END}{THINK_END}18\n", "length", "correct"),
        ("", "context", "truncated"),
    ],
)
def test_an_answer_counts_only_behind_the_end_of_the_thought(
    text: str, finish: Any, outcome: str
) -> None:
    judge = verifier_of({"answer": "18", "verifier": "numeric"})
    assert judge(Completion(text, finish, (), ())).outcome == outcome


# ---- prefixes


def test_prefixes_are_the_bare_question_and_truncations_of_the_human_thought() -> None:
    Prefix.validate(PREFIXES)
    assert PREFIXES.height == 3 * SEEDS.height
    for row in PREFIXES.iter_rows(named=True):
        trace = prefix_trace(row)
        assert row["prefix_id"] == f"{row['seed_id']}@{row['n_steps']}"
        assert [s.text for s in trace.steps] == [f"{i}+1={i + 1}" for i in range(row["n_steps"])]
        assert {s.provenance for s in trace.steps} <= {"human"}
        assert trace.answer is None
    assert set(PREFIXES.filter(n_steps=0)["seed_id"]) == set(SEEDS["seed_id"])
