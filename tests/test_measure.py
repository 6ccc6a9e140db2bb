"""From tables of traces to tables of labels, over a policy of known truth."""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datagen.bench.chains import SimulatedConfig
from datagen.bench.simulated import GOLD, SimulatedPolicy
from datagen.journal import Journal
from datagen.measure import MeasureConfig, pick_traces
from datagen.measure.run import Measured, measure_traces
from datagen.search.best_of_n import BestOfNConfig
from datagen.search.budget import Budget
from datagen.search.first_error import FirstErrorConfig
from datagen.search.generate import GenerateConfig
from datagen.search.omega import OmegaConfig
from datagen.search.run import search_prefixes
from datagen.traces.assemble import assemble_traces
from datagen.traces.rows import trace_of
from schemas import Critique, Prefix, Probe, Rollout, Seed, StepLabel, Trace, TraceLabel

Row = dict[str, Any]
POLICY = SimulatedPolicy(SimulatedConfig(), 4)
N = 12
TREES = {
    "best_of_n": GenerateConfig("best_of_n", best_of_n=BestOfNConfig(6)),
    "omega": GenerateConfig("omega", omega=OmegaConfig(6, n_searches=2, n_rollouts=3)),
}


def prefix(seed_id: str, question: str, steps: list[str], factors: list[str]) -> Row:
    return {
        "prefix_id": f"{seed_id}@{len(steps)}",
        "seed_id": seed_id,
        "n_steps": len(steps),
        "n_seed_steps": 99,
        "question": question,
        "steps": steps,
        "factors": factors,
        "answer": GOLD,
        "verifier": "numeric",
    }


@cache
def tables(algorithm: str = "best_of_n", *, n_human: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``traces`` and ``rollouts`` of N questions, and perhaps of longer prefixes of each."""
    rows = [prefix(f"s{i}", question, [], []) for i, question in enumerate(POLICY.questions(N))]
    with Journal(":memory:") as journal:
        found = search_prefixes(
            Prefix.from_rows(rows), POLICY.engine(), journal, config=TREES[algorithm]
        )
        if n_human:
            # Steps of the policy's own stand for a person's: it goes on from no others.
            first = found.rollouts.unique("seed_id", keep="first", maintain_order=True)
            rows += [
                prefix(row["seed_id"], question, row["steps"][:n_human], row["factors"][:n_human])
                for row, question in zip(
                    first.iter_rows(named=True), POLICY.questions(N), strict=True
                )
            ]
            found = search_prefixes(
                Prefix.from_rows(rows), POLICY.engine(), journal, config=TREES[algorithm]
            )
    return assemble_traces(Seed.empty(), Prefix.from_rows(rows), found.rollouts), found.rollouts


def measure(
    *,
    algorithm: str = "best_of_n",
    n_human: int = 0,
    picked: pl.DataFrame | None = None,
    critiques: pl.DataFrame | None = None,
    journal: Journal | None = None,
    budget: Budget | None = None,
    engine: Any = None,
    **config: Any,
) -> Measured:
    traces, rollouts = tables(algorithm, n_human=n_human)
    if picked is None:
        picked = pick_traces(traces, rollouts, n_right=1, n_wrong=1)
    with Journal(":memory:") if journal is None else journal as kept:
        return measure_traces(
            picked,
            traces,
            rollouts,
            Critique.empty() if critiques is None else critiques,
            engine or POLICY.engine(),
            kept,
            config=MeasureConfig(**config),
            budget=budget,
        )


@cache
def measured(algorithm: str = "best_of_n", n_human: int = 0) -> Measured:
    return measure(algorithm=algorithm, n_human=n_human)


def by_trace(found: Measured) -> list[tuple[Row, pl.DataFrame]]:
    """Each measured trace with its steps."""
    return [
        (row, found.step_labels.filter(pl.col("trace_id") == row["trace_id"]))
        for row in found.trace_labels.iter_rows(named=True)
    ]


# ---- which traces


def test_the_first_few_right_and_wrong_traces_of_each_prefix_are_picked() -> None:
    traces, rollouts = tables(n_human=2)
    picked = pick_traces(traces, rollouts, n_right=1, n_wrong=2)
    assert Trace.validate(picked).height
    n_given = dict(rollouts.select("rollout_id", "n_given_steps").iter_rows())
    for outcome, most in (("correct", 1), ("wrong", 2)):
        for prefix_id in traces["prefix_id"].unique():
            mine = (pl.col("prefix_id") == prefix_id) & (pl.col("outcome") == outcome)
            expected = [
                row["trace_id"]
                for row in traces.filter(mine).iter_rows(named=True)
                if n_given[row["rollout_id"]] == row["n_human_steps"]
                and len(row["steps"]) - row["n_human_steps"] >= 2
            ]
            assert picked.filter(mine)["trace_id"].to_list() == expected[:most]
    ids = traces["trace_id"].to_list()
    assert [ids.index(trace_id) for trace_id in picked["trace_id"]] == sorted(
        ids.index(trace_id) for trace_id in picked["trace_id"]
    )


def test_traces_drawn_deeper_in_a_search_are_not_picked() -> None:
    traces, rollouts = tables("omega")
    n_given = dict(rollouts.select("rollout_id", "n_given_steps").iter_rows())
    picked = pick_traces(traces, rollouts, n_right=99, n_wrong=99)
    assert {n_given[rollout_id] for rollout_id in picked["rollout_id"]} == {0}
    assert any(n_given[rollout_id] for rollout_id in traces["rollout_id"])


@pytest.mark.parametrize(("n_own", "n_picked"), [(1, 0), (2, 2 * N)])
def test_of_a_single_own_step_nothing_can_be_measured(n_own: int, n_picked: int) -> None:
    traces, rollouts = tables()
    given = (pl.col("steps").list.len() - n_own).cast(pl.Int32)
    traces = traces.with_columns(n_human_steps=given)
    rollouts = rollouts.with_columns(n_given_steps=given)
    assert pick_traces(traces, rollouts, n_right=1, n_wrong=1).height == n_picked


def test_nothing_is_picked_from_nothing() -> None:
    traces, rollouts = tables()
    assert pick_traces(traces, rollouts, n_right=0, n_wrong=0).height == 0
    assert pick_traces(Trace.empty(), Rollout.empty(), n_right=3, n_wrong=3).height == 0


# ---- the tables agree with each other


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "n_human"), [("best_of_n", 0), ("best_of_n", 2), ("omega", 0)]
)
def test_all_labels_of_a_trace_follow_from_its_first_error(algorithm: str, n_human: int) -> None:
    found = measured(algorithm, n_human)
    assert found.trace_labels.height > N
    for row, steps in by_trace(found):
        assert steps.height == row["n_steps"]
        assert set(steps["label_source"]) == {"posterior"}
        first = row["first_error"] if row["first_error"] >= 0 else row["n_steps"]
        assert steps["hard_label"].to_list() == [idx < first for idx in range(row["n_steps"])]
        mass = row["p_first_error"]
        assert row["first_error_mass"] == max(mass) == mass[row["first_error"]]
        assert row["no_error_mass"] == mass[-1]
        # P(before the error) after step k is what lies behind k.
        behind = [sum(mass[idx + 1 :]) for idx in range(row["n_steps"])]
        assert steps["p_before_error"].to_list() == pytest.approx(behind)
        confidence = [p if idx < first else 1 - p for idx, p in enumerate(behind)]
        assert steps["confidence"].to_list() == pytest.approx(confidence)


def test_advantages_add_up_from_the_solve_rate_to_how_the_trace_ended() -> None:
    for row, steps in by_trace(measured()):
        values, gains = steps["value"].to_list(), steps["advantage"].to_list()
        assert values[-1] == float(row["outcome"] == "correct")
        root = values[0] - gains[0]
        assert 0 < root < 1
        assert sum(gains) == pytest.approx(values[-1] - root)
        assert gains[1:] == pytest.approx([b - a for a, b in pairwise(values)])
        before = [root, *values[:-1]]
        progress = [v / max(u, 1e-3) for u, v in zip(before, values, strict=True)]
        assert steps["relative_progress"].to_list() == pytest.approx(progress)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.slow
def test_the_provers_advantage_is_that_of_the_best_of_k(k: int) -> None:
    for _, steps in by_trace(measure(prover_k=k)):
        values, gains = steps["value"].to_list(), steps["advantage"].to_list()
        solved = [1 - (1 - v) ** k for v in (values[0] - gains[0], *values)]
        expected = [b - a for a, b in pairwise(solved)]
        assert steps["prover_advantage"].to_list() == pytest.approx(expected)
        if k == 1:
            assert steps["prover_advantage"].to_list() == pytest.approx(gains)


def test_first_errors_are_mostly_the_true_ones() -> None:
    traces, _ = tables()
    rows = {row["trace_id"]: row for row in traces.iter_rows(named=True)}
    wrong = [row for row, _ in by_trace(measured()) if row["outcome"] == "wrong"]
    hits = [row["first_error"] == true_error(rows[row["trace_id"]]) for row in wrong]
    assert sum(hits) > len(hits) / 2


def true_error(row: Mapping[str, Any]) -> int:
    return POLICY.first_error(trace_of(row))


@pytest.mark.slow
def test_steps_that_a_person_wrote_are_never_blamed() -> None:
    traces, _ = tables(n_human=2)
    human = set(traces.filter(pl.col("n_human_steps") == 2)["trace_id"])
    n = 0
    for row, steps in by_trace(measured(n_human=2)):
        if row["trace_id"] in human:
            n += 1
            assert row["p_first_error"][:2] == [0.0, 0.0]
            assert steps["hard_label"].to_list()[:2] == [True, True]
            assert steps["p_before_error"].to_list()[:2] == pytest.approx([1.0, 1.0])
    assert n > 3


def test_traces_that_were_not_measured_keep_their_plain_labels() -> None:
    traces, rollouts = tables()
    picked = pick_traces(traces, rollouts, n_right=0, n_wrong=1)
    found = measure(picked=picked)
    assert found.trace_labels["trace_id"].to_list() == picked["trace_id"].to_list()
    assert found.step_labels.height == traces["steps"].list.len().sum()
    rest = found.step_labels.filter(~pl.col("trace_id").is_in(picked["trace_id"].to_list()))
    assert rest.height
    assert "posterior" not in set(rest["label_source"])
    assert rest["value"].null_count() == rest["confidence"].null_count() == rest.height


# ---- rollouts


def test_probes_are_the_rollouts_that_were_asked_for_and_count_as_trials() -> None:
    traces, _ = tables()
    found = measured()
    assert Probe.validate(found.probes).height == found.progress.n_generated > 0
    assert set(found.probes["algorithm"]) == {"first_error"}
    assert found.probes["n_tokens"].sum() == found.progress.n_tokens
    assert found.trace_labels["n_tokens"].sum() == found.progress.n_tokens
    steps = {row["trace_id"]: row["steps"] for row in traces.iter_rows(named=True)}
    mine = [steps[trace_id] for trace_id in found.trace_labels["trace_id"]]
    for row in found.probes.iter_rows(named=True):
        given = row["steps"][: row["n_given_steps"]]
        assert any(given == whole[: len(given)] for whole in mine)
    before = found.step_labels.filter(pl.col("n_trials") > 0).height
    assert before >= found.probes.select("seed_id", "n_given_steps").unique().height


@pytest.mark.parametrize(("algorithm", "n_human"), [("omega", 0), ("best_of_n", 2)])
@pytest.mark.slow
def test_samples_that_the_search_before_had_drawn_are_not_drawn_again(
    algorithm: str, n_human: int
) -> None:
    _, rollouts = tables(algorithm, n_human=n_human)
    found = measured(algorithm, n_human)
    assert found.probes.height
    assert not set(found.probes["completion_key"]) & set(rollouts["completion_key"])


def test_rollouts_of_the_search_before_are_evidence() -> None:
    nothing = FirstErrorConfig(max_rollouts=0)
    found = measure(algorithm="omega", search=nothing)
    assert found.probes.height == 0
    assert Probe.validate(found.probes).height == 0
    wrong = found.trace_labels.filter(pl.col("outcome") == "wrong")
    assert wrong["n_rollouts"].sum() > wrong.height
    assert measure(search=nothing).trace_labels["n_rollouts"].sum() == 0  # all left at once


# ---- judges


def vote(trace_id: str, first_error: int | None, idx: int = 0, judge: str = "checker") -> Row:
    return {
        "trace_id": trace_id,
        "seed_id": "s",
        "judge": judge,
        "vote_idx": idx,
        "first_error": first_error,
        "quote": "",
        "reason": "",
        "text": "",
        "remarks": [],
        "n_tokens": 0,
        "completion_key": None,
        "engine": None,
    }


def test_judges_that_agree_verify_and_those_that_do_not_lead_the_queue() -> None:
    rows = measured().trace_labels.sort("first_error_mass", descending=True).to_dicts()
    sure, disputed, undecided, *others = [row for row in rows if row["first_error"] >= 1]
    votes = [
        vote(sure["trace_id"], sure["first_error"]),
        vote(disputed["trace_id"], disputed["first_error"] - 1),
        vote(undecided["trace_id"], None),
        vote("no such trace", 0),
    ]
    labels = measure(critiques=Critique.from_rows(votes)).trace_labels
    of = {row["trace_id"]: row for row in labels.iter_rows(named=True)}
    agreed = of[sure["trace_id"]]
    assert (agreed["agrees"], agreed["verified"], agreed["review_rank"]) == (True, True, None)
    argued = of[disputed["trace_id"]]
    assert (argued["agrees"], argued["verified"], argued["review_rank"]) == (False, False, 0)
    assert argued["judge_first_error"] == disputed["first_error"] - 1
    silent = of[undecided["trace_id"]]
    assert (silent["agrees"], silent["judge_first_error"]) == (None, None)
    ranks = labels["review_rank"].drop_nulls().sort().to_list()
    assert ranks == list(range(labels.height - 1))
    assert others


def test_agreement_on_what_the_rollouts_are_not_sure_of_verifies_nothing() -> None:
    rows = measured().trace_labels.to_dicts()
    critiques = Critique.from_rows([vote(r["trace_id"], r["first_error"]) for r in rows])
    labels = measure(critiques=critiques, min_mass=0.9).trace_labels
    decided = labels.filter(pl.col("agrees").fill_null(False))
    assert decided.height
    assert (decided["verified"] == (decided["first_error_mass"] >= 0.9)).all()
    assert 0 < decided["verified"].sum() < decided.height


# ---- again, cut short, with nothing


def same(one: Measured, other: Measured) -> bool:
    names = ("probes", "step_labels", "trace_labels")
    return all(getattr(one, name).equals(getattr(other, name)) for name in names)


@pytest.mark.slow
def test_the_journal_alone_gives_the_same_tables_again(tmp_path: Path) -> None:
    first = measure(journal=Journal(tmp_path / "j"))
    silent = POLICY.engine(fail_after=0)
    again = measure(journal=Journal(tmp_path / "j"), engine=silent)
    assert same(first, again)
    assert silent.batches == []
    assert again.progress.n_generated == 0


@pytest.mark.parametrize("max_tokens", [0, 200])
def test_a_spent_budget_labels_from_what_there_is(max_tokens: int) -> None:
    found = measure(budget=Budget(max_tokens=max_tokens), engine=POLICY.engine(batch_size=8))
    assert found.progress.budget_spent
    assert found.trace_labels.height == measured().trace_labels.height
    assert found.probes.height < measured().probes.height
    assert StepLabel.validate(found.step_labels).height == measured().step_labels.height


@pytest.mark.slow
def test_a_budget_run_out_can_be_gone_on_with(tmp_path: Path) -> None:
    cut = measure(
        budget=Budget(max_tokens=200),
        engine=POLICY.engine(batch_size=8),
        journal=Journal(tmp_path / "j"),
    )
    whole = measure(journal=Journal(tmp_path / "j"))
    assert not same(cut, whole)
    assert same(whole, measured())


def test_without_measured_traces_there_are_empty_tables_and_plain_labels() -> None:
    traces, _ = tables()
    found = measure(picked=traces.head(0))
    assert TraceLabel.validate(found.trace_labels).height == 0
    assert Probe.validate(found.probes).height == 0
    assert StepLabel.validate(found.step_labels).height == traces["steps"].list.len().sum()


def test_without_any_table_there_are_empty_tables() -> None:
    with Journal(":memory:") as journal:
        found = measure_traces(
            Trace.empty(),
            Trace.empty(),
            Rollout.empty(),
            Critique.empty(),
            POLICY.engine(),
            journal,
            config=MeasureConfig(),
        )
    assert StepLabel.validate(found.step_labels).height == found.trace_labels.height == 0
