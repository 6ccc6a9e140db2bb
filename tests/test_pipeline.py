"""The whole line, on the real embedded reasoner: seeds in, loadable datasets out."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import polars as pl
import pytest

from datagen.code.traces import decided
from datagen.engines.protocol import CompletionRequest
from datagen.journal import Journal
from datagen.measure.run import trace_of
from datagen.reasoner.bundle import SEEDS, problem_of
from datagen.reasoner.oracle import first_error
from datagen.verify import VERIFIERS

REPO = Path(__file__).parents[1]
SETTINGS = """
[search]
n_simulations = 2
n_root_rollouts = 4
[labels]
confidence = 0.99
max_rollouts = 4
[engine]
batch_size = 48
"""
TABLES = [
    "seeds",
    "code_seeds",
    "quarantine",
    "executions",
    "code_tasks",
    "code_thoughts",
    "prefixes",
    "rollouts",
    "nodes",
    "traces",
    "measured_traces",
    "critiques",
    "probes",
    "step_labels",
    "trace_labels",
    "sft",
    "sft_plain",
    "prm",
    "prm_verified",
    "rl",
]


def datagen(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("DAGSTER")
    }
    return subprocess.run(
        [sys.executable, "-m", "assets", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd or REPO,
        env={**environment, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPO)},
        timeout=600,
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "datagen.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Path:
    """The output folder of an uninterrupted run over ten bundled seeds."""
    out = tmp_path_factory.mktemp("run") / "out"
    done = datagen("run", "--out", out, "--config", settings, "--limit", "10")
    assert done.returncode == 0, done.stderr[-3000:]
    (out.parent / "stdout").write_text(done.stdout)
    return out


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
    assert len(rows) > 40
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


def test_datasets_load_normally_and_streaming_from_another_folder(out: Path, tmp_path: Path):
    script = """
import json, sys
from datasets import load_dataset
counts = {}
for config in ("sft", "sft_plain", "prm", "prm_verified", "rl", "traces"):
    whole = load_dataset(sys.argv[1], config, split="train")
    streamed = list(load_dataset(sys.argv[1], config, split="train", streaming=True))
    assert whole[0] == streamed[0], config
    assert len(whole) == len(streamed)
    counts[config] = len(whole)
print(json.dumps(counts))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(out / "published")],
        capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts == {name: table(out, name).height for name in counts}


def test_running_again_replays_everything_and_changes_nothing(out: Path, settings: Path):
    before = {name: (out / "tables" / f"{name}.parquet").read_bytes() for name in TABLES}
    n_answers = count(out / "journal.sqlite")
    done = datagen("run", "--out", out, "--config", settings, "--limit", "10")
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"\s0 tokens", done.stdout)
    assert count(out / "journal.sqlite") == n_answers
    after = {name: (out / "tables" / f"{name}.parquet").read_bytes() for name in TABLES}
    assert before == after


@pytest.mark.parametrize("kind", ["completion", "score"])
def test_killed_in_the_middle_it_goes_on_and_ends_equal(
    kind: str, out: Path, settings: Path, tmp_path: Path
):
    """Killed within the search, or, since only measuring asks for scores, within that."""
    again = tmp_path / "out"
    command = [sys.executable, "-m", "assets", "run", "--out", str(again)]
    command += ["--config", str(settings), "--limit", "10"]
    n_whole = count(out / "journal.sqlite")
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
    kept = answers(again / "journal.sqlite")
    assert len(kept) < n_whole
    assert every_of(kind, kept) >= n_awaited > 0

    done = datagen("run", "--out", again, "--config", settings, "--limit", "10")

    assert done.returncode == 0, done.stderr[-3000:]
    whole = answers(again / "journal.sqlite")
    assert {key: whole[key] for key in kept} == kept
    assert len(whole) == n_whole
    if kind == "completion":
        replayed = re.search(r"([\d,]+)\s+replayed", done.stdout)
        assert replayed and int(replayed[1].replace(",", "")) >= of_kind(kind, kept)
    else:
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
    assert said.strip().endswith("Stopped. Run the same command again to go on from the journal.")
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


def test_show_draws_a_measured_trace_and_one_of_its_probes(out: Path):
    wrong = table(out, "trace_labels").filter(pl.col("first_error") >= 0)
    done = datagen("show", wrong["trace_id"][0], "--out", out)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"first error +step {wrong['first_error'][0]} with", done.stdout)
    for word in ("before", "value", "checker", "native_critique", "review"):
        assert word in done.stdout
    done = datagen("show", table(out, "probes")["rollout_id"][0], "--out", out)
    assert done.returncode == 0, done.stderr
    assert "by first_error" in done.stdout and "measures" in done.stdout


def test_show_works_on_a_run_that_was_stopped_before_its_labels(out: Path, tmp_path: Path):
    (tmp_path / "tables").mkdir()
    for name in ("prefixes", "nodes", "rollouts", "traces"):
        path = out / "tables" / f"{name}.parquet"
        (tmp_path / "tables" / path.name).write_bytes(path.read_bytes())
    trace = table(out, "traces")["trace_id"][0]
    done = datagen("show", trace, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "none yet" in done.stdout


def test_show_without_a_run_says_how_to_make_one(tmp_path: Path):
    done = datagen("show", "world-000", "--out", tmp_path / "nothing")
    assert done.returncode == 1
    assert "datagen run" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "no/such/file.jsonl"], "no/such/file.jsonl"),
        (["--config", "no-such.toml"], "no-such.toml"),
        (["--model", "no/such/model"], "no/such/model"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments: list[str], message: str, tmp_path: Path):
    done = datagen("run", "--out", tmp_path / "out", "--limit", "2", *arguments)
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_bad_seed_row_is_refused_and_the_rest_goes_on(settings: Path, tmp_path: Path):
    lines = SEEDS.read_text().splitlines()[:4]
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("\n".join([*lines[:2], '{"question": "no answer"}', *lines[2:]]))
    out = tmp_path / "out"
    done = datagen("run", "--seeds", seeds, "--out", out, "--config", settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "1 rows refused" in done.stdout
    assert table(out, "seeds").height == 4
    assert table(out, "quarantine")["row_idx"].to_list() == [2]


def test_gsm8k_runs_to_the_end_and_reports_what_it_finds(settings: Path, tmp_path: Path):
    folder = Path(os.environ.get("DATAGEN_SHARED_DATA", REPO.parent / "shared" / "data"))
    rows = folder / "gsm8k_train_500.jsonl"
    if not rows.exists():
        pytest.skip(f"no GSM8K rows at {rows}; set DATAGEN_SHARED_DATA to a folder that has them")
    out = tmp_path / "out"
    arguments = ["--seeds", rows, "--format", "gsm8k", "--limit", "6"]
    done = datagen("run", *arguments, "--out", out, "--config", settings)
    assert done.returncode == 0, done.stderr[-3000:]
    rollouts = table(out, "rollouts")
    assert rollouts.filter(pl.col("n_given_steps") == 0).height >= 24
    bare = rollouts.filter((pl.col("n_given_steps") == 0) & (pl.col("outcome") == "correct"))
    assert bare.height <= 2  # the reasoner has never seen such questions
    assert table(out, "traces").filter(pl.col("provenance") == "human").height == 6


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
