"""The whole line, on the real embedded reasoner: seeds in, loadable datasets out."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import polars as pl
import pytest
from conftest import datagen

from assets.parquet_io import CONTRACT_OF
from datagen.code.traces import decided
from datagen.engines.protocol import CompletionRequest
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.measure.run import trace_of
from datagen.publish import read_manifest
from datagen.publish.configs import CONFIGS
from datagen.reasoner.bundle import SEEDS, problem_of
from datagen.reasoner.oracle import first_error, judge_trace
from datagen.traces.model import Step
from datagen.verify import VERIFIERS, verify_completion

REPO = Path(__file__).parents[1]
Command = Callable[..., subprocess.CompletedProcess[str]]
FEW_ANSWERS = """
[search]
n_simulations = 1
n_root_rollouts = 2
[labels]
n_critiques = 0
max_rollouts = 1
[summaries]
writer = "extract"
"""
"""For runs of which the answers do not matter."""

NEVER_FILLED = {
    *("shards", "quarantine", "rubric_rewards", "benchmark_checks"),
    *("rejected_questions", "rejected_by_difficulty"),
    *("reviews", "decisions", "annotators"),
}
"""Tables without a row where all seeds are good and can be checked, and nobody has reviewed."""
TABLES = [
    "shards",
    "seeds",
    "code_seeds",
    "quarantine",
    "rejected_questions",
    "benchmark_checks",
    "questions",
    "rejected_by_difficulty",
    "rejected_traces",
    "executions",
    "code_tasks",
    "code_thoughts",
    "prefixes",
    "rollouts",
    "nodes",
    "traces",
    "tags",
    "measured_traces",
    "critiques",
    "probes",
    "step_labels",
    "trace_labels",
    "corrections",
    "summaries",
    "rubric_rewards",
    "sft",
    "sft_plain",
    "prm",
    "prm_verified",
    "orm",
    "processbench",
    "rl",
    "policy_value",
    "advantages",
    "preference",
    "step_preference",
    "kto",
    "critique",
    "raw_rollouts",
    "reviews",
    "decisions",
    "annotators",
    "review_queue",
    "reviewed_step_labels",
    "reviewed_trace_labels",
    "reviewed_tags",
    "reviewed_corrections",
]


@pytest.fixture(scope="module")
def out(demo_run: Path) -> Path:
    """The output folder of an uninterrupted run over ten bundled seeds."""
    return demo_run


def table(out: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(out / "tables" / f"{name}.parquet")


pytestmark = pytest.mark.slow


def test_the_run_ends_with_a_summary_and_the_line_to_load(out: Path):
    stdout = (out.parent / "stdout").read_text()
    for word in ("seeds", "rollouts", "pass rate", "labelled steps", "dataset prm_verified"):
        assert word in stdout
    measured, probes = table(out, "trace_labels"), table(out, "probes")
    for name, shown in (
        ("measured traces", measured.height),
        ("verified traces", measured["verified"].sum()),
        ("dataset prm_verified", table(out, "prm_verified").height),
    ):
        assert re.search(rf"^{name} +{shown} ", stdout, re.MULTILINE), name
    assert f"{probes['n_tokens'].sum():,} tokens in {probes.height} probes" in stdout
    assert f'load_dataset("{out / "published"}"' in stdout.replace("\n", "")
    assert "toy" in stdout


def test_every_table_holds_its_contract_and_has_rows(out: Path):
    assert set(TABLES) == set(CONTRACT_OF) == {path.stem for path in (out / "tables").iterdir()}
    for name in TABLES:
        frame = CONTRACT_OF[name].validate(table(out, name))
        assert (frame.height > 0) == (name not in NEVER_FILLED), name


def test_both_outcomes_and_both_kinds_of_prefix_occur(out: Path):
    rollouts = table(out, "rollouts")
    assert {"correct", "wrong"} <= set(rollouts["outcome"])
    assert (table(out, "prefixes")["n_steps"] > 0).sum() >= 8
    assert set(rollouts["algorithm"]) == {"puct"}
    assert set(table(out, "probes")["algorithm"]) == {"first_error"}


def test_every_outcome_agrees_with_a_recomputation_from_the_journal(out: Path):
    rollouts = drawn(out)
    with Journal(out / "journal.sqlite") as journal:
        answers = journal.look_up(rollouts["completion_key"].to_list())
    for row in rollouts.iter_rows(named=True):
        tail = re.search(r"<Think_End>\n(-?\d+)\s*$", answers[row["completion_key"]].text)
        match row["outcome"]:
            case "correct":
                assert tail and int(tail[1]) == int(row["gold"])
            case "wrong":
                assert tail and int(tail[1]) != int(row["gold"])
            case _:
                assert tail is None


def test_every_synthetic_step_leads_back_to_a_human_step_or_a_completion(out: Path):
    seeds = {row["seed_id"]: row for row in table(out, "seeds").iter_rows(named=True)}
    with Journal(out / "journal.sqlite") as journal:
        keys = set(journal.keys())
        texts = journal.look_up(sorted(keys))
    n_model = 0
    for row in table(out, "traces").iter_rows(named=True):
        steps = zip(row["steps"], row["step_provenance"], row["step_source"], strict=True)
        for idx, (text, provenance, source) in enumerate(steps):
            if provenance == "human":
                seed_id, _, step_idx = source.rpartition("#")
                assert seed_id == row["seed_id"] and int(step_idx) == idx
                assert text in seeds[seed_id]["steps"][idx]
            elif source == "execution":
                assert provenance == "code"
            else:
                n_model += 1
                assert text in texts[source].text
    assert n_model > 500


def drawn(out: Path) -> pl.DataFrame:
    """All rollouts, those of the search first."""
    return pl.concat([table(out, "rollouts"), table(out, "probes")])


def test_the_measured_traces_are_a_few_of_each_prefix_and_outcome(out: Path):
    picked = table(out, "measured_traces")
    same = pl.col("trace_id").is_in(picked["trace_id"].implode())
    assert picked.equals(table(out, "traces").filter(same))
    per_prefix = picked.group_by("prefix_id", "outcome").len()
    most = dict(per_prefix.group_by("outcome").agg(pl.col("len").max()).iter_rows())
    assert most == {"correct": 1, "wrong": 2}
    assert picked["prefix_id"].n_unique() > 15


def test_every_probe_goes_on_from_a_step_of_a_measured_trace(out: Path):
    measured = table(out, "measured_traces").to_dicts()
    probes = table(out, "probes")
    assert probes.height > 10
    assert not set(probes["rollout_id"]) & set(table(out, "rollouts")["rollout_id"])
    tokens = {row["trace_id"]: 0 for row in measured}
    for probe in probes.iter_rows(named=True):
        n = probe["n_given_steps"]
        origins = [
            row["trace_id"]
            for row in measured
            if row["seed_id"] == probe["seed_id"]
            and n <= len(row["steps"])
            and (row["steps"][:n], row["factors"][:n]) == (probe["steps"][:n], probe["factors"][:n])
        ]
        assert n > 0 and origins
        for trace_id in origins:
            tokens[trace_id] += probe["n_tokens"]
    told = dict(table(out, "trace_labels").select("trace_id", "n_tokens").iter_rows())
    assert all(0 <= told[trace_id] <= tokens[trace_id] for trace_id in tokens)
    assert sum(told.values()) >= probes["n_tokens"].sum()


def test_step_labels_of_measured_traces_follow_from_their_trace_labels(out: Path):
    steps = table(out, "step_labels")
    traces = {row["trace_id"]: row for row in table(out, "trace_labels").iter_rows(named=True)}
    by_posterior = steps.filter(pl.col("label_source") == "posterior")
    assert set(by_posterior["trace_id"]) == set(traces)
    assert list(traces) == table(out, "measured_traces")["trace_id"].to_list()
    assert {row["first_error"] < 0 for row in traces.values()} == {True, False}
    for (trace_id,), own in steps.group_by("trace_id", maintain_order=True):
        if trace_id not in traces:
            assert "posterior" not in set(own["label_source"])
            continue
        found = traces[str(trace_id)]
        first, p = found["first_error"], found["p_first_error"]
        assert set(own["label_source"]) == {"posterior"}
        assert own.height == found["n_steps"] == len(p) - 1
        assert max(p) == p[first] == found["first_error_mass"]
        good = [first < 0 or idx < first for idx in range(own.height)]
        assert own["hard_label"].to_list() == good
        before = [sum(p[idx + 1 :]) for idx in range(own.height)]
        assert own["p_before_error"].to_list() == pytest.approx(before, abs=1e-6)
        sure = [b if ok else 1 - b for b, ok in zip(before, good, strict=True)]
        assert own["confidence"].to_list() == pytest.approx(sure, abs=1e-6)
        values = own["value"].to_list()
        assert values[-1] == (found["outcome"] == "correct")
        gains = [b - a for a, b in pairwise(values)]
        assert own["advantage"].to_list()[1:] == pytest.approx(gains, abs=1e-9)


def test_judges_read_every_measured_trace_and_their_agreement_makes_it_verified(out: Path):
    critiques, traces = table(out, "critiques"), table(out, "trace_labels")
    votes = dict(critiques.group_by("judge").len().iter_rows())
    assert votes == {"checker": traces.height, "native_critique": traces.height}
    assert 0 < traces["verified"].sum() < traces.height
    for row in traces.filter("verified").iter_rows(named=True):
        assert row["judge_first_error"] == row["first_error"]
        assert row["first_error_mass"] >= 0.5
    queue = traces["review_rank"].drop_nulls()
    assert sorted(queue) == list(range(queue.len()))


def test_first_errors_are_mostly_those_that_the_oracle_knows(out: Path):
    problems = {
        row["seed_id"]: problem_of(row["meta"]) for row in table(out, "seeds").iter_rows(named=True)
    }
    traces = table(out, "measured_traces").join(
        table(out, "trace_labels").select("trace_id", "first_error", "verified"), on="trace_id"
    )
    exact: dict[bool, list[bool]] = {True: [], False: []}
    for row in traces.filter(pl.col("outcome") == "wrong").iter_rows(named=True):
        truth = first_error(problems[row["seed_id"]], trace_of(row).steps)
        exact[row["verified"]].append(row["first_error"] == truth)
    every = exact[True] + exact[False]
    assert len(every) > 10
    assert fmean(every) > 0.5  # a guess finds one in eight
    assert fmean(exact[True]) > 0.8


def test_labels_are_recomputed_from_the_rollouts_by_counting(out: Path):
    rollouts = drawn(out)
    unique = rollouts.unique(["seed_id", "completion_key"], keep="first")
    given = dict(rollouts.select("rollout_id", "n_given_steps").iter_rows())
    decided = [
        (row["seed_id"], row["steps"], row["factors"], row["n_given_steps"], row["outcome"])
        for row in unique.iter_rows(named=True)
        if row["outcome"] in ("correct", "wrong")
    ]
    traces = {row["trace_id"]: row for row in table(out, "traces").iter_rows(named=True)}
    labels = table(out, "step_labels").filter(pl.col("n_trials") > 0)
    labels = labels.filter(pl.col("label_source") != "execution")
    measured = labels.filter(pl.col("label_source") == "posterior")
    assert measured.height > 50
    for label in pl.concat([labels.sample(60, seed=1), measured]).iter_rows(named=True):
        trace, n = traces[label["trace_id"]], label["step_idx"] + 1
        start = given.get(trace["rollout_id"])

        def sister(steps: list[str], factors: list[str], n_given: int, trace=trace, start=start):
            return n_given == start and (steps[:start], factors[:start]) == (
                trace["steps"][:start],
                trace["factors"][:start],
            )

        through = [
            outcome == "correct"
            for seed_id, steps, factors, n_given, outcome in decided
            if seed_id == trace["seed_id"]
            and n_given <= n
            and (steps[:n], factors[:n]) == (trace["steps"][:n], trace["factors"][:n])
            and len(steps) >= n
            and not sister(steps, factors, n_given)
        ]
        assert (label["n_trials"], label["n_successes"]) == (len(through), sum(through))


def test_prm_rows_are_the_measured_traces_with_their_labels_and_values(out: Path):
    about_code = set(table(out, "code_thoughts")["thought_id"])
    rows = {
        row["id"]: row
        for row in table(out, "prm").iter_rows(named=True)
        if row["id"] not in about_code
    }
    traces = table(out, "trace_labels")
    assert set(rows) == set(traces["trace_id"])
    steps = table(out, "step_labels").filter(pl.col("trace_id").is_in(list(rows)))
    for (trace_id,), own in steps.group_by("trace_id", maintain_order=True):
        row = rows[str(trace_id)]
        assert row["labels"] == own["hard_label"].to_list()
        assert row["step_scores"] == pytest.approx(own["value"].to_list(), abs=1e-6)
    labels = table(out, "prm")["labels"].explode()
    assert labels.any() and not labels.all()


def test_prm_rows_about_code_are_labelled_by_what_their_claims_are_worth(out: Path):
    thoughts = {row["thought_id"]: row for row in table(out, "code_thoughts").to_dicts()}
    rows = [row for row in table(out, "prm").to_dicts() if row["id"] in thoughts]
    assert len(rows) > 20
    kinds: set[bool] = set()
    for row in rows:
        thought = thoughts[row["id"]]
        first, n = thought["first_error"], len(row["labels"])
        assert row["labels"] == [first < 0 or idx < first for idx in range(n)]
        if first >= 0:
            assert thought["step_checks"][first] == "contradicted" and not thought["verified"]
        kinds.add(thought["verified"])
    assert kinds == {True, False}


def test_verified_thoughts_about_code_become_questions_rewards_and_conversations(out: Path):
    thoughts = table(out, "code_thoughts")
    last = thoughts.group_by("seed_id", "route").agg(pl.col("verified").last())
    assert last["verified"].mean() > 0.7
    claims = thoughts.filter("verified").explode("claims")["claims"].struct.field("verdict")
    assert "holds" in set(claims) and "contradicted" not in set(claims)
    ids = set(thoughts.filter("verified")["thought_id"])
    assert ids & set(table(out, "sft")["id"])
    failed = set(thoughts.filter(~pl.col("verified"))["thought_id"])
    assert not failed & set(table(out, "sft")["id"])
    rl = table(out, "rl").filter(pl.col("ability") == "code")
    for row in rl.group_by("ability").head(3).iter_rows(named=True):
        verifier, gold = row["extra_info"]["verifier"], row["reward_model"]["ground_truth"]
        assert VERIFIERS[verifier](row["answer"], gold).outcome == "correct"
        assert VERIFIERS[verifier]("no answer", gold).outcome != "correct"


def test_verified_prm_rows_are_those_whose_first_error_is_agreed_on(out: Path):
    prm, verified = table(out, "prm"), table(out, "prm_verified")
    agreed = table(out, "trace_labels").filter("verified")["trace_id"]
    shown = decided(table(out, "code_thoughts"))
    kept = pl.concat([agreed, shown])
    assert set(agreed) <= set(verified["id"]) <= set(kept)
    assert verified.equals(prm.filter(pl.col("id").is_in(kept.implode())))


def test_policy_and_value_targets_follow_from_the_evaluations_in_the_tree(out: Path):
    nodes = {row["node_id"]: row for row in table(out, "nodes").iter_rows(named=True)}
    children: dict[str, list[str]] = {node_id: [] for node_id in nodes}
    for node_id, row in nodes.items():
        if row["parent_id"] is not None and row["chosen"]:
            children[row["parent_id"]].append(node_id)

    def backed_up(node_id: str) -> tuple[int, float]:
        """How many values were backed up to a state, and their sum."""
        row = nodes[node_id]
        if row["outcome"] is not None:  # each visit of an end finds the same again
            return row["n_visits"], row["n_visits"] * row["evaluation"]
        below = [backed_up(child) for child in children[node_id]]
        return 1 + sum(n for n, _ in below), row["evaluation"] + sum(total for _, total in below)

    targets = table(out, "policy_value").to_dicts()
    assert {row["id"] for row in targets} == {
        node_id for node_id, below in children.items() if below
    }
    for row in targets:
        node, n_and_sum = nodes[row["id"]], backed_up(row["id"])
        below = {nodes[child]["factor"]: child for child in children[row["id"]]}
        assert sum(row["pi"]) == pytest.approx(1)
        assert (row["legal_factors"], row["prior"]) == (node["legal_factors"], node["priors"])
        assert row["n_visits"] == node["n_visits"] == n_and_sum[0]
        assert row["value"] == pytest.approx(n_and_sum[1] / n_and_sum[0])
        assert set(below) <= set(row["legal_factors"])
        for factor, n, pi, q in zip(
            row["legal_factors"], row["visits"], row["pi"], row["q"], strict=True
        ):
            found, total = backed_up(below[factor]) if factor in below else (0, 0.0)
            assert n == found and pi == pytest.approx(found / (n_and_sum[0] - 1))
            assert q == (pytest.approx(total / found) if found else None)


def test_corrections_end_right_and_mend_steps_that_are_really_wrong(out: Path):
    problems = {
        row["seed_id"]: problem_of(row["meta"]) for row in table(out, "seeds").iter_rows(named=True)
    }
    rows = table(out, "corrections").to_dicts()
    assert {row["kind"] for row in rows} == {"splice", "attempts"}
    for row in rows:
        verdict = verify_completion(row["markup"], row["gold"], verifier=row["verifier"])
        assert verdict.outcome == "correct"
        problem, steps = problems[row["seed_id"]], trace_of(row).steps
        truths = judge_trace(problem, steps)
        for idx in range(row["n_attempts"]):
            own = [at for at, attempt in enumerate(row["attempt_idx"]) if attempt == idx]
            assert row["step_roles"][own[-1] + 1] == "detect"
            if row["kind"] == "splice":
                assert not truths[own[-1]].ok, row["markup"]
            else:  # its answer was one, and is now a hypothesis
                answer = Step(steps[own[-1]].text, Factor.ANSWER)
                whole = [*(steps[at] for at in own[:-1]), answer]
                assert first_error(problem, whole) >= 0, row["markup"]


def test_conversations_hold_corrections_and_summaries_that_tell_no_tag(out: Path):
    chats, corrections = table(out, "sft"), table(out, "corrections")
    mending = chats.join(corrections, left_on="id", right_on="trace_id", how="semi")
    assert mending.height > 0
    for row in mending.iter_rows(named=True):
        reply = row["messages"][-1]["content"]
        assert "<ACT_DetectError-Start>" in reply
    summaries = dict(table(out, "summaries").select("trace_id", "summary").iter_rows())
    assert mending["summary"].count() > 0
    assert chats["summary"].count() > 0.9 * chats.height
    for row_id, summary in chats.select("id", "summary").drop_nulls().iter_rows():
        assert summary == summaries[row_id]
        assert "<ACT_" not in summary and "<Think" not in summary


def test_every_step_has_the_tag_that_its_writer_gave_it(out: Path):
    steps = table(out, "traces").select(
        "trace_id",
        text="steps",
        factor="factors",
        step_idx=pl.int_ranges(0, pl.col("steps").list.len(), dtype=pl.Int32),
    )
    tags = table(out, "tags")
    columns = ("trace_id", "step_idx", "text", "factor")
    assert tags.select(columns).equals(steps.explode(columns[1:]).select(columns))
    assert set(tags["tagger"]) == {"native"} and set(tags["probability"]) == {1.0}
    assert tags["depends_on"].list.len().sum() > tags.height / 4


def test_ids_in_the_datasets_lead_to_rows_of_other_tables(out: Path):
    outcomes = {
        **dict(table(out, "traces").select("trace_id", "outcome").iter_rows()),
        **dict(table(out, "probes").select("rollout_id", "outcome").iter_rows()),
    }
    for pair in table(out, "preference")["id"]:
        right, _, wrong = pair.rpartition(":")
        assert (outcomes[right], outcomes[wrong]) == ("correct", "wrong")
    for reply, label in table(out, "kto").select("id", "label").iter_rows():
        assert outcomes[reply] == ("correct" if label else "wrong")
    for trace_id, outcome in table(out, "advantages").select("id", "outcome").iter_rows():
        assert outcomes[trace_id] == outcome
    first_errors = dict(table(out, "trace_labels").select("trace_id", "first_error").iter_rows())
    votes = {
        (row["trace_id"], row["judge"], str(row["vote_idx"])): row["first_error"]
        for row in table(out, "critiques").iter_rows(named=True)
    }
    for vote, label in table(out, "critique").select("id", "label").iter_rows():
        assert votes[tuple(vote.split("/"))] == label == first_errors[vote.split("/")[0]]
    nodes = {row["node_id"]: row for row in table(out, "nodes").iter_rows(named=True)}
    pairs = table(out, "step_preference").to_dicts()
    assert {row["kind"] for row in pairs} == {"replica", "factor"}
    for row in pairs:
        better, worse = (nodes[node_id] for node_id in row["id"].split(":"))
        assert better["parent_id"] == worse["parent_id"] and better["chosen"]
        assert worse["chosen"] == (row["kind"] == "factor")


def test_datasets_load_normally_and_streaming_from_another_folder(out: Path, tmp_path: Path):
    filled = set(CONFIGS) - NEVER_FILLED
    script = """
import json, sys
from datasets import get_dataset_split_names, load_dataset
counts = {}
for config in sys.argv[2:]:
    counts[config] = {}
    for split in get_dataset_split_names(sys.argv[1], config):
        whole = load_dataset(sys.argv[1], config, split=split)
        streamed = list(load_dataset(sys.argv[1], config, split=split, streaming=True))
        assert whole[0] == streamed[0], config
        assert len(whole) == len(streamed)
        counts[config][split] = len(whole)
print(json.dumps(counts))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    folders = {path.name for path in (out / "published").iterdir() if path.is_dir()}
    assert folders == filled | {"figures"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(out / "published"), *filled],
        capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    stored = {name: "raw_rollouts" if name == "rollouts" else name for name in filled}
    rows = {name: sum(splits.values()) for name, splits in counts.items()}
    assert rows == {name: table(out, stored[name]).height for name in filled}
    assert sum("test" in splits for splits in counts.values()) > 10


def test_no_question_is_in_two_splits_and_no_rejected_trace_in_a_dataset(out: Path):
    repository = read_manifest(out / "published")
    seeds: dict[str, set[str]] = {"train": set(), "test": set()}
    split_of = dict(table(out, "questions").select("question_id", "split").iter_rows())
    for name, config in repository.configs.items():
        for split, files in config.splits.items():
            for file in files.files:
                rows = pl.read_parquet(out / "published" / file.path)
                asked = rows.select(CONFIGS[name].seed().alias("asked"))["asked"]
                assert {split_of[seed] for seed in asked} == {split}
                seeds[split] |= {seed.split("/")[0] for seed in asked}
    assert seeds["train"] and seeds["test"] and not seeds["train"] & seeds["test"]
    rejected = set(table(out, "rejected_traces")["id"])
    assert rejected
    for name in ("sft", "sft_plain", "prm", "orm", "kto", "advantages", "processbench"):
        assert not rejected & set(table(out, name)["id"]), name


def test_the_published_folder_is_fit_to_be_published_elsewhere(
    out: Path, tmp_path: Path, here: Command
):
    done = here("publish", "--out", out, "--to", f"{tmp_path / 'there'}/")
    assert done.returncode == 0, done.stderr
    again = here("publish", "--out", out, "--to", f"{tmp_path / 'there'}/")
    assert "Everything is there already" in again.stdout
    left = here("publish", "--out", tmp_path, "--to", f"{tmp_path / 'else'}/")
    assert left.returncode == 1 and "Traceback" not in left.stderr


def test_running_again_replays_everything_and_changes_nothing(
    out: Path, settings: Path, tmp_path: Path
):
    out = shutil.copytree(out, tmp_path / "out")
    before = {name: (out / "tables" / f"{name}.parquet").read_bytes() for name in TABLES}
    n_answers = count(out / "journal.sqlite")
    done = datagen("run", "--out", out, "--config", settings, "--limit", "10")
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"\s0 tokens", done.stdout)
    assert count(out / "journal.sqlite") == n_answers
    after = {name: (out / "tables" / f"{name}.parquet").read_bytes() for name in TABLES}
    assert before == after


def test_killed_in_the_middle_twice_it_goes_on_and_ends_equal(
    out: Path, settings: Path, tmp_path: Path
):
    """Killed within the search, and, since only measuring asks for scores, within that."""
    again = tmp_path / "out"
    command = [sys.executable, "-m", "assets", "run", "--out", str(again)]
    command += ["--config", str(settings), "--limit", "10"]
    n_whole = count(out / "journal.sqlite")
    kept: dict[bytes, tuple[object, ...]] = {}
    for kind in ("completion", "score"):
        n_awaited = of_kind(kind, answers(out / "journal.sqlite")) // 3
        # Code comes before the search, in which it is to be killed.
        n_awaited += of_kind(kind, answers(out / "journal.sqlite"), about_code=True)
        process = subprocess.Popen(
            command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        while every_of(kind, answers(again / "journal.sqlite")) < n_awaited:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        before, kept = kept, answers(again / "journal.sqlite")
        assert {key: kept[key] for key in before} == before
        assert len(before) < len(kept) < n_whole
        assert every_of(kind, kept) >= n_awaited > 0

    done = datagen("run", "--out", again, "--config", settings, "--limit", "10")

    assert done.returncode == 0, done.stderr[-3000:]
    whole = answers(again / "journal.sqlite")
    assert {key: whole[key] for key in kept} == kept
    assert len(whole) == n_whole
    assert re.search(r"[\d,]+\s+replayed", done.stdout)
    assert re.search(r"\s0 tokens", done.stdout)  # the search asked nothing again
    for name in TABLES:
        assert table(again, name).equals(table(out, name)), name


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_loses_nothing(out: Path, settings: Path, tmp_path: Path):
    again = tmp_path / "out"
    command = [sys.executable, "-m", "assets", "run", "--out", str(again)]
    command += ["--config", str(settings), "--limit", "10"]
    process = subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not answers(again / "journal.sqlite"):
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said[-3000:]
    assert said.strip().endswith("Stopped. Run the same command again to go on where it was.")
    assert "Traceback" not in said
    kept = answers(again / "journal.sqlite")
    assert 0 < len(kept) < count(out / "journal.sqlite")
    whole = answers(out / "journal.sqlite")
    assert kept == {key: whole[key] for key in kept}


def count(journal: Path) -> int:
    return len(answers(journal))


def answers(journal: Path) -> dict[bytes, tuple[object, ...]]:
    if not journal.exists():
        return {}
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
        try:
            return {
                row[0]: row[1:]
                for row in db.execute(
                    "SELECT key, kind, finish, text, n_tokens, logprobs, ends FROM answers"
                )
            }
        except sqlite3.OperationalError:
            return {}  # not a journal yet


def of_kind(kind: str, rows: dict[bytes, tuple[object, ...]], *, about_code: bool = False) -> int:
    """Answers about word problems, or about code; only these hold programs and runs."""
    words = (b"def ", b" returns ", b"Plan-Start> set ")

    def is_about_code(text: object) -> bool:
        found = text.encode() if isinstance(text, str) else text
        return isinstance(found, bytes) and any(word in found for word in words)

    return sum(row[0] == kind and is_about_code(row[2]) == about_code for row in rows.values())


def every_of(kind: str, rows: dict[bytes, tuple[object, ...]]) -> int:
    return sum(of_kind(kind, rows, about_code=about_code) for about_code in (False, True))


def test_show_draws_a_tree_of_the_run(out: Path):
    done = datagen("show", "world-000", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "Compute" in done.stdout


def test_show_draws_a_measured_trace_and_one_of_its_probes(out: Path, here: Command):
    wrong = table(out, "trace_labels").filter(pl.col("first_error") >= 0)
    done = here("show", wrong["trace_id"][0], "--out", out)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"first error +step {wrong['first_error'][0]} with", done.stdout)
    for word in ("before", "value", "checker", "native_critique", "review"):
        assert word in done.stdout
    done = here("show", table(out, "probes")["rollout_id"][0], "--out", out)
    assert done.returncode == 0, done.stderr
    assert "by first_error" in done.stdout and "measures" in done.stdout


def test_show_works_on_a_run_that_was_stopped_before_its_labels(
    out: Path, tmp_path: Path, here: Command
):
    (tmp_path / "tables").mkdir()
    for name in ("prefixes", "nodes", "rollouts", "traces"):
        path = out / "tables" / f"{name}.parquet"
        (tmp_path / "tables" / path.name).write_bytes(path.read_bytes())
    trace = table(out, "traces")["trace_id"][0]
    done = here("show", trace, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "none yet" in done.stdout


def test_show_without_a_run_says_how_to_make_one(tmp_path: Path, here: Command):
    done = here("show", "world-000", "--out", tmp_path / "nothing")
    assert done.returncode == 1
    assert "datagen run" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "no/such/file.jsonl"], "no/such/file.jsonl"),
        (["--config", "no-such.toml"], "no-such.toml"),
    ],
)
def test_bad_arguments_are_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, here: Command
):
    done = here("run", "--out", tmp_path / "out", "--limit", "2", *arguments)
    check_one_line(done, message)


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path: Path):
    done = datagen("run", "--out", tmp_path / "out", "--limit", "2", "--model", "no/such/model")
    check_one_line(done, "no/such/model")


def check_one_line(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_bad_seed_row_is_refused_and_the_rest_goes_on(tmp_path: Path):
    settings = tmp_path / "datagen.toml"
    settings.write_text(FEW_ANSWERS)
    lines = SEEDS.read_text().splitlines()[:4]
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("\n".join([*lines[:2], '{"question": "no answer"}', *lines[2:]]))
    out = tmp_path / "out"
    done = datagen("run", "--seeds", seeds, "--out", out, "--config", settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "1 rows refused" in done.stdout
    assert table(out, "seeds").height == 4
    assert table(out, "quarantine")["row_idx"].to_list() == [2]


def test_a_source_that_is_mostly_bad_is_stopped_before_a_model_is_asked(
    tmp_path: Path, here: Command
):
    lines = SEEDS.read_text().splitlines()[:2] + ['{"question": "no answer"}'] * 6
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "out"
    seeds.write_text("\n".join(lines))
    done = here("run", "--seeds", seeds, "--out", out)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: shard 'main' was stopped by its checks:\n  refused: 75.0 %"
    )
    assert "checks.max_refused_share" in done.stderr and "Traceback" not in done.stderr
    assert table(out, "quarantine").height == 6
    assert not (out / "tables" / "prefixes.parquet").exists()


def test_seeds_with_rubrics_are_refused_before_a_model_is_asked_that_cannot_judge(
    tmp_path: Path, here: Command
):
    seeds, out = tmp_path / "essays.jsonl", tmp_path / "out"
    fields = {"question": "Why is the sky blue?", "thought": "Light scatters.", "answer": "Air."}
    seeds.write_text(json.dumps(fields | {"seed_id": "sky", "rubric": ["Names scattering."]}))
    done = here("run", "--seeds", seeds, "--out", out)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "'sky'" in done.stderr
    assert "engine.prompts" in done.stderr and "Traceback" not in done.stderr
    assert not (out / "tables" / "prefixes.parquet").exists()


def test_gsm8k_runs_to_the_end_and_reports_what_it_finds(settings: Path, tmp_path: Path):
    folder = Path(os.environ.get("DATAGEN_SHARED_DATA", REPO.parent / "shared" / "data"))
    rows = folder / "gsm8k_train_500.jsonl"
    if not rows.exists():
        pytest.skip(f"no GSM8K rows at {rows}; set DATAGEN_SHARED_DATA to a folder that has them")
    given = rows.read_text().splitlines()[:6]  # the last three without calculator annotations
    given[3:] = [re.sub("<<.*?>>", "", line) for line in given[3:]]
    seeds, out = tmp_path / "gsm8k.jsonl", tmp_path / "out"
    seeds.write_text("\n".join(given))
    arguments = ["--seeds", seeds, "--format", "gsm8k", "--out", out]
    wanted = tmp_path / "datagen.toml"  # the reasoner has never seen such questions
    wanted.write_text(f"{settings.read_text()}\n[checks]\nmin_pass_rate = 0\n")
    done = datagen("run", *arguments, "--config", wanted)
    assert done.returncode == 0, done.stderr[-3000:]
    rollouts = table(out, "rollouts")
    assert rollouts.filter(pl.col("n_given_steps") == 0).height >= 24
    bare = rollouts.filter((pl.col("n_given_steps") == 0) & (pl.col("outcome") == "correct"))
    assert bare.height <= 2
    people = table(out, "traces").filter(pl.col("provenance") == "human")
    tags = table(out, "tags").join(people.select("trace_id"), on="trace_id", how="semi")
    assert people.height == 6 and "none" not in set(tags["tagger"])
    assert set(tags.filter(pl.col("tagger") == "native")["factor"]) == {"Compute"}  # annotated
    told = tags.filter(pl.col("tagger") == "classifier")
    assert told["seed_id"].n_unique() == 3 and "Compute" in set(told["factor"])
    assert table(out, "sft").filter(_holds("<ACT_Compute-Start>")).height > 3


def _holds(text: str) -> pl.Expr:
    reply = pl.col("messages").list.last().struct.field("content")
    return reply.str.contains(text, literal=True)


def test_a_request_of_the_run_has_the_key_under_which_it_was_journaled(out: Path):
    from datagen.engines.protocol import Sampling
    from datagen.journal import journal_key
    from datagen.prompts.native import prompt_of
    from datagen.traces.prefixes import prefix_trace

    rollouts = table(out, "rollouts")
    first = rollouts.filter(pl.col("n_given_steps") == 0).row(0, named=True)
    prefix = table(out, "prefixes").filter(pl.col("prefix_id") == first["prefix_id"])
    request = CompletionRequest(
        prompt_of(prefix_trace(prefix.row(0, named=True))), Sampling(), first["sample_idx"]
    )
    assert journal_key(first["engine"], request) == first["completion_key"]
