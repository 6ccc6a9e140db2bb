"""The whole line, on the real embedded reasoner: seeds in, loadable datasets out."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from datagen.engines.protocol import CompletionRequest
from datagen.reasoner.bundle import SEEDS
from datagen.search.journal import Journal

REPO = Path(__file__).parents[1]
SETTINGS = """
[search]
n_simulations = 2
n_root_rollouts = 4
n_label_rollouts = 3
[engine]
batch_size = 48
"""
TABLES = [
    "seeds",
    "quarantine",
    "prefixes",
    "rollouts",
    "nodes",
    "traces",
    "step_labels",
    "sft",
    "sft_plain",
    "prm",
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
    for word in ("seeds", "rollouts", "pass rate", "labelled steps", "dataset prm"):
        assert word in stdout
    assert f'load_dataset("{out / "published"}"' in stdout.replace("\n", "")
    assert "toy" in stdout


def test_both_outcomes_and_both_kinds_of_prefix_occur(out: Path):
    rollouts = table(out, "rollouts")
    assert {"correct", "wrong"} <= set(rollouts["outcome"])
    assert (table(out, "prefixes")["n_steps"] > 0).sum() >= 8
    assert set(rollouts["algorithm"]) == {"puct", "shepherd"}


def test_every_outcome_agrees_with_a_recomputation_from_the_journal(out: Path):
    rollouts = table(out, "rollouts")
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
            else:
                n_model += 1
                assert text in texts[source].text
    assert n_model > 500


def test_labels_are_recomputed_from_the_rollouts_by_counting(out: Path):
    rollouts = table(out, "rollouts")
    given = dict(rollouts.select("rollout_id", "n_given_steps").iter_rows())
    decided = [
        (row["seed_id"], row["steps"], row["factors"], row["n_given_steps"], row["outcome"])
        for row in rollouts.unique("completion_key", keep="first").iter_rows(named=True)
        if row["outcome"] in ("correct", "wrong")
    ]
    traces = {row["trace_id"]: row for row in table(out, "traces").iter_rows(named=True)}
    labels = table(out, "step_labels").filter(pl.col("n_trials") > 0).sample(60, seed=1)
    for label in labels.iter_rows(named=True):
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


def test_prm_rows_hold_right_and_wrong_steps(out: Path):
    labels = table(out, "prm")["labels"].explode()
    assert labels.any() and not labels.all()


def test_datasets_load_normally_and_streaming_from_another_folder(out: Path, tmp_path: Path):
    script = """
import json, sys
from datasets import load_dataset
counts = {}
for config in ("sft", "sft_plain", "prm", "rl", "traces"):
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
    done = datagen("run", "--out", out, "--config", settings, "--limit", "10")
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"\s0 tokens", done.stdout)
    after = {name: (out / "tables" / f"{name}.parquet").read_bytes() for name in TABLES}
    assert before == after


def test_killed_in_the_middle_it_goes_on_and_ends_equal(out: Path, settings: Path, tmp_path: Path):
    again = tmp_path / "out"
    command = [sys.executable, "-m", "assets", "run", "--out", str(again)]
    command += ["--config", str(settings), "--limit", "10"]
    n_whole = count(out / "journal.sqlite")
    process = subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    while count(again / "journal.sqlite") < n_whole // 3:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    n_kept = count(again / "journal.sqlite")
    assert n_whole // 3 <= n_kept < n_whole
    kept = answers(again / "journal.sqlite")

    done = datagen("run", "--out", again, "--config", settings, "--limit", "10")

    assert done.returncode == 0, done.stderr[-3000:]
    whole = answers(again / "journal.sqlite")
    assert {key: whole[key] for key in kept} == kept
    assert len(whole) == n_whole
    replayed = re.search(r"([\d,]+)\s+replayed", done.stdout)
    assert replayed and int(replayed[1].replace(",", "")) >= completions(kept)
    for name in TABLES:
        assert table(again, name).equals(table(out, name)), name


def count(journal: Path) -> int:
    return len(answers(journal)) if journal.exists() else 0


def answers(journal: Path) -> dict[bytes, tuple[object, ...]]:
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
        try:
            return {row[0]: row[1:] for row in db.execute("SELECT * FROM answers")}
        except sqlite3.OperationalError:
            return {}  # not a journal yet


def completions(rows: dict[bytes, tuple[object, ...]]) -> int:
    return sum(row[0] == "completion" for row in rows.values())


def test_show_draws_a_tree_of_the_run(out: Path):
    done = datagen("show", "world-000", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "Compute" in done.stdout


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
    from datagen.prompts.native import prompt_of
    from datagen.search.journal import journal_key
    from datagen.traces.prefixes import prefix_trace

    rollouts = table(out, "rollouts")
    first = rollouts.filter(pl.col("n_given_steps") == 0).row(0, named=True)
    prefix = table(out, "prefixes").filter(pl.col("prefix_id") == first["prefix_id"])
    request = CompletionRequest(
        prompt_of(prefix_trace(prefix.row(0, named=True))), Sampling(), first["sample_idx"]
    )
    assert journal_key(first["engine"], request) == first["completion_key"]
