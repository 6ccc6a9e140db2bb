"""Publishing: folders that real loaders read, that appear all at once, and cards that are true."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from datagen.errors import PublishError
from datagen.publish import Lineage, Repository, SeedSource, repository, seed_sources, swap
from datagen.publish.card import MARK, card
from datagen.publish.configs import CONFIGS
from datagen.publish.licenses import hub_license
from datagen.publish.repository import write_repository
from datagen.publish.swap import replacing
from schemas import (
    Advantage,
    CodeThought,
    ContractError,
    Correction,
    CritiqueSft,
    Kto,
    PolicyValue,
    Preference,
    Prm,
    RawRollout,
    Rl,
    RubricReward,
    Seed,
    Sft,
    StepPreference,
    Tag,
    Trace,
)

Row = dict[str, Any]

LINEAGE = Lineage(
    engine="fake:0123",
    model="embedded reasoner",
    settings={"c_puct": 1.5, "n_rollouts": 8},
    code_version="0.1.0",
    sources=(SeedSource("gsm.jsonl", "MIT", 2), SeedSource("more.jsonl", "MIT", 1)),
    notes=("The embedded reasoner is a **toy** model.",),
)


def chat(*contents: str) -> list[Row]:
    roles = ("user", "assistant")
    return [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]


def trace(trace_id: str, outcome: str, *factors: str, by: str = "model") -> Row:
    n = len(factors)
    return {
        "trace_id": trace_id,
        "seed_id": "s1",
        "prefix_id": "s1/0",
        "rollout_id": None if by == "human" else f"r-{trace_id}",
        "question": "How many?",
        "steps": [f"step {i}" for i in range(n)],
        "factors": list(factors),
        "step_provenance": [by] * n,
        "step_source": [f"s1#{i}" for i in range(n)],
        "n_human_steps": n if by == "human" else 0,
        "answer": None if outcome == "truncated" else "18",
        "gold": "18",
        "verifier": "numeric",
        "outcome": outcome,
        "provenance": by,
        "engine": None if by == "human" else "fake",
        "markup": "<Think_Start>\n…",
    }


def question(index: int, pass_rate: float | None, n_rollouts: int) -> Row:
    return {
        "prompt": chat(f"Question {index}?"),
        "solution": "$18$",
        "answer": "18",
        "data_source": "datagen/gsm",
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "18"},
        "extra_info": {
            "index": index,
            "split": "train",
            "seed_id": f"s{index}",
            "verifier": "numeric",
            "pass_rate": pass_rate,
            "n_rollouts": n_rollouts,
        },
    }


def code_question(verifier: str, gold: str, answer: str) -> Row:
    info = question(9, None, 0)["extra_info"] | {"verifier": verifier}
    over = {"solution": answer, "answer": answer, "ability": "code", "extra_info": info}
    return question(9, None, 0) | over | {"reward_model": {"style": "rule", "ground_truth": gold}}


def code_thought(thought_id: str, route: str, attempt: int, *verdicts: str, **over: Any) -> Row:
    """A writing of one thought per route, verified unless something speaks against it."""
    false = "contradicted" in verdicts
    claim = {"step_idx": 0, "kind": "value", "text": "x = 4", "subject": "x", "value": "4"}
    row = {
        "thought_id": thought_id,
        "seed_id": "c1",
        "route": route,
        "thought_idx": 0,
        "attempt": attempt,
        "revises": None,
        "question": "Write add.",
        "code": "def add(xs):\n    return sum(xs)",
        "steps": ["x = 4"],
        "factors": ["SimulateExecution"],
        "step_checks": ["contradicted" if false else "checked"],
        "claims": [claim | {"verdict": verdict, "actual": None} for verdict in verdicts],
        "first_error": 0 if false else -1,
        "leak": None,
        "n_round_trips": 4,
        "n_passed": 3,
        "n_bare": 4,
        "n_bare_passed": 1,
        "sufficiency": 0.5,
        "regenerated": None,
        "verified": not false,
        "reasons": ["x is 5, not 4"] if false else [],
        "n_tokens": 9,
        "engine": None,
        "completion_key": None,
    }
    return row | over


def step_row(row_id: str, *labels: bool) -> Row:
    return {
        "prompt": "How many?\n",
        "completions": [f"step {i}" for i in range(len(labels))],
        "labels": list(labels),
        "id": row_id,
        "step_scores": [0.75 if label else 0.0 for label in labels],
    }


def rollout(rollout_id: str, outcome: str) -> dict[str, Any]:
    """A completion from its bare question on."""
    return {
        "rollout_id": rollout_id,
        "prefix_id": "s1@0",
        "seed_id": "s1",
        "node_id": None,
        "algorithm": "puct",
        "sample_idx": 0,
        "n_given_steps": 0,
        "steps": ["1+1=2"],
        "factors": ["Compute"],
        "step_source": [rollout_id],
        "step_n_tokens": [3],
        "step_min_logprob": [None],
        "sloppy": False,
        "tail": "",
        "answer": "2",
        "gold": "2",
        "verifier": "numeric",
        "outcome": outcome,
        "reason": "",
        "n_tokens": 4,
        "temperature": 1.0,
        "engine": "e",
        "completion_key": rollout_id,
        "question": "Q?",
    }


TABLES: dict[str, pl.DataFrame] = {
    "sft": Sft.from_rows([{"messages": chat("Q?", "<Think_Start>…"), "id": f"t{i}"} for i in "12"]),
    "sft_plain": Sft.from_rows([{"messages": chat("Q?", "<think>\nè ½\n"), "id": "t1"}]),
    "prm": Prm.from_rows(
        [
            step_row("t1", True, True),
            step_row("t2", True, False),
            step_row("t3", False, True, False),
            step_row("t4", False),
        ]
    ),
    "prm_verified": Prm.from_rows([step_row("t1", True, True), step_row("t2", True, False)]),
    "rl": Rl.from_rows([question(0, 0.5, 4), question(1, None, 0), question(2, 0.0, 6)]),
    "traces": Trace.from_rows(
        [
            trace("t0", "correct", "Compute", "Answer", by="human"),
            trace("t1", "correct", "RestateGoal", "Compute", "Answer"),
            trace("t2", "wrong", "Compute"),
            trace("t3", "wrong", "Compute", "CheckResult", "Compute", "Answer"),
            trace("t4", "unverifiable", "Answer"),
            trace("t5", "truncated", "Compute"),
        ]
    ),
    "rollouts": RawRollout.from_rows([rollout("r1", "correct"), rollout("r2", "wrong")]),
}

UNTRIED: Row = {"n_round_trips": 0, "n_passed": 0, "sufficiency": None}
CODE_THOUGHTS = CodeThought.from_rows(
    [
        code_thought("k1", "model", 0, "holds", "contradicted", n_passed=1, sufficiency=0.0),
        code_thought("k2", "model", 1, "holds", "uncheckable", revises="k1"),
        code_thought("k3", "grounded", 0, "contradicted", **UNTRIED),
        code_thought("k4", "narrator", 0, "holds", "holds", "holds", n_passed=4, sufficiency=0.75),
    ]
)
TESTS_GOLD = json.dumps({"entry_point": "add", "tests": "assert add([1]) == 1", "prelude": ""})
CODE_RL = Rl.from_rows(
    [
        code_question("python", TESTS_GOLD, "def add(xs):\n    return sum(xs)"),
        code_question("python_output", "[1]", "[1]"),
    ]
)
WITH_CODE = {**TABLES, "code_thoughts": CODE_THOUGHTS}


def correction(trace_id: str, kind: str, n_attempts: int) -> Row:
    """A trace in which each wrong step is noticed at once."""
    roles = ["wrong", "detect"] * n_attempts + ["right"]
    n = len(roles)
    return trace(trace_id, "correct", *["Compute"] * n) | {
        "kind": kind,
        "n_attempts": n_attempts,
        "wrong_trace_ids": [f"w{idx}" for idx in range(n_attempts)],
        "right_trace_id": "t1",
        "edit_distances": [1] * n_attempts,
        "step_roles": roles,
        "step_labels": [role != "wrong" for role in roles],
        "attempt_idx": [idx // 2 if role == "wrong" else -1 for idx, role in enumerate(roles)],
    }


def tag(step_idx: int, tagger: str, *, needs_review: bool = False) -> Row:
    return {
        "trace_id": "t1",
        "seed_id": "s1",
        "step_idx": step_idx,
        "text": f"step {step_idx}",
        "factor": "Compute",
        "probability": 0.25 if needs_review else 0.75,
        "runner_up": None,
        "tagger": tagger,
        "needs_review": needs_review,
        "depends_on": [-1, *range(step_idx)],
        "taxonomy": "2",
    }


def state(node_id: str, n_visits: int) -> Row:
    return {
        "id": node_id,
        "prefix_id": "s1@0",
        "seed_id": "s1",
        "depth": 0,
        "question": "How many?",
        "steps": [],
        "factors": [],
        "prompt": "How many?\n<Think_Start>\n",
        "legal_factors": ["Plan", "Compute"],
        "prior": [0.5, 0.5],
        "visits": [0, n_visits - 1],
        "pi": [0.0, 1.0],
        "q": [None, 0.5],
        "n_visits": n_visits,
        "value": 0.5,
        "chosen_factor": "Compute",
        "segment": "18",
        "outcome": None,
        "taxonomy": "2",
    }


def step_pair(pair_id: str, kind: str) -> Row:
    return {
        "id": pair_id,
        "prompt": "How many?\n<Think_Start>\n",
        "chosen": f"{pair_id} right",
        "rejected": f"{pair_id} wrong",
        "delta_q": 0.5,
        "kind": kind,
        "n_chosen": 1,
        "n_rejected": 1,
        "chosen_factor": "Compute",
        "rejected_factor": "Plan" if kind == "factor" else "Compute",
    }


def reply(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


ENDED = "<Think_Start>\n1\n<Think_End>\n1"
SEARCHED: dict[str, pl.DataFrame] = {
    "preference": Preference.from_rows(
        [
            {"prompt": chat("Q?"), "chosen": reply("18"), "rejected": reply(wrong), "id": f"t1:{i}"}
            for i, wrong in enumerate(("<Think_Start>\n1", "<Think_Start>\n2", ENDED))
        ]
    ),
    "step_preference": StepPreference.from_rows(
        [step_pair("n1:n2", "replica"), step_pair("n1:n3", "factor"), step_pair("n4:n5", "factor")]
    ),
    "kto": Kto.from_rows(
        [
            {"prompt": chat("Q?"), "completion": reply(i), "label": i == "t1", "id": i}
            for i in ("t1", "t2", "t3", "t4")
        ]
    ),
    "advantages": Advantage.from_rows(
        [
            {
                "id": "t2",
                "prompt": "How many?\n",
                "completions": ["step 0", "step 1"],
                "factors": ["Compute", "Answer"],
                "values": [0.5, None],
                "advantages": [None, None],
                "prover_advantages": [None, None],
                "pit": -1,
                "outcome": "wrong",
                "label_source": "rollouts",
            }
        ]
    ),
    "policy_value": PolicyValue.from_rows([state("n1", 9), state("n2", 3), state("n3", 2)]),
    "critique": CritiqueSft.from_rows(
        [
            {
                "messages": chat("Judge.", f"Step 0: so.\n\\boxed{{{label}}}"),
                "id": f"t{label}/native_critique/0",
                "label": label,
                "n_steps": 2,
            }
            for label in (-1, 0, 1)
        ]
    ),
    "rubric_rewards": RubricReward.from_rows(
        [
            {
                "rollout_id": "r1",
                "seed_id": "s2",
                "prompt": "Why?",
                "completion": "So.",
                "criteria": [{"criterion": "Is short.", "weight": 1.0}],
                "scores": [0.75],
                "reward": 0.75,
                "engine": "e",
            }
        ]
    ),
    "corrections": Correction.from_rows(
        [
            correction("c1", "splice", 1),
            correction("c2", "splice", 1),
            correction("c3", "attempts", 3),
        ]
    ),
    "tags": Tag.from_rows(
        [tag(0, "native"), tag(1, "native"), tag(2, "classifier", needs_review=True)]
    ),
}
ALL = {name: {**WITH_CODE, **SEARCHED}[name] for name in CONFIGS}

CONSUMER_COLUMNS = {
    "sft": ["messages", "id", "summary"],
    "sft_plain": ["messages", "id", "summary"],
    "prm": ["prompt", "completions", "labels", "id", "step_scores"],
    "prm_verified": ["prompt", "completions", "labels", "id", "step_scores"],
    "rl": [
        *("prompt", "solution", "answer", "data_source", "ability", "reward_model", "extra_info"),
    ],
    "preference": ["prompt", "chosen", "rejected", "id"],
    "step_preference": StepPreference.column_names(),
    "kto": ["prompt", "completion", "label", "id"],
    "advantages": Advantage.column_names(),
    "policy_value": PolicyValue.column_names(),
    "critique": ["messages", "id", "label", "n_steps"],
    "rubric_rewards": RubricReward.column_names(),
    "traces": Trace.column_names(),
    "corrections": Correction.column_names(),
    "tags": Tag.column_names(),
    "rollouts": RawRollout.column_names(),
    "code_thoughts": CodeThought.column_names(),
}


def write(folder: Path, tables: dict[str, pl.DataFrame] | None = None, **over: Any) -> Repository:
    return write_repository(folder, tables or TABLES, **({"lineage": LINEAGE} | over))


def readme(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def yaml_of(folder: Path) -> dict[str, Any]:
    return DatasetCard(readme(folder)).data.to_dict()


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All configs in one folder, for tests that only read it."""
    return write(tmp_path_factory.mktemp("hub") / "repo", ALL).folder


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``load_dataset`` with a cache of its own, in a working directory of its own."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    def load_train(folder: Path, config: str) -> Any:
        return datasets.load_dataset(
            str(folder), config, split="train", cache_dir=str(tmp_path / "cache")
        )

    return load_train


# ---- what loaders see

_READ_ALL = """
import json, sys
from datasets import load_dataset
folder, names = sys.argv[1], sys.argv[2:]
for name in [*names, None]:
    data = load_dataset(folder, name)
    stream = load_dataset(folder, name, streaming=True)
    print(json.dumps({
        "splits": list(data), "rows": data["train"].to_list(), "streamed": list(stream["train"]),
        "columns": data["train"].column_names,
        "features": data["train"].features.to_dict(),
        "stream_features": stream["train"].features.to_dict(),
    }))
"""


@pytest.mark.slow
def test_every_config_loads_and_streams_in_a_fresh_process_elsewhere(
    published: Path, tmp_path: Path
) -> None:
    env = {
        **os.environ,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_DATASETS_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-c", _READ_ALL, str(published), *ALL]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *configs, default = [json.loads(line) for line in done.stdout.splitlines()]
    for name, seen in zip(ALL, configs, strict=True):
        assert seen["splits"] == ["train"]
        assert seen["columns"] == CONSUMER_COLUMNS[name]
        assert seen["rows"] == seen["streamed"] == ALL[name].to_dicts()
        features = CONFIGS[name].contract.features().to_dict()
        assert seen["features"] == seen["stream_features"] == json.loads(json.dumps(features))
    assert default["rows"] == TABLES["sft"].to_dicts()


ORDINARY_CHAT = {"messages": [{"role": "user", "content": "Hi"}], "id": "x"}


def test_chat_rows_concatenate_with_ordinary_ones(published: Path, load: Any) -> None:
    ordinary = datasets.Dataset.from_list([ORDINARY_CHAT])
    both = datasets.concatenate_datasets([load(published, "sft"), ordinary])
    assert both["id"] == ["t1", "t2", "x"]


def test_step_labels_concatenate_with_ordinary_ones(published: Path, load: Any) -> None:
    row = {"prompt": "Q\n", "completions": ["a"], "labels": [True], "id": "x", "step_scores": [1]}
    text, values = datasets.Value("string"), datasets.Value
    ordinary = datasets.Dataset.from_list(
        [row],
        features=datasets.Features(
            prompt=text,
            completions=datasets.List(text),
            labels=datasets.List(values("bool")),
            id=text,
            step_scores=datasets.List(values("float32")),
        ),
    )
    both = datasets.concatenate_datasets([load(published, "prm"), ordinary])
    assert both[-1] == {**row, "step_scores": [1.0]}


def test_messages_are_what_a_chat_template_takes(published: Path, load: Any) -> None:
    jinja2 = pytest.importorskip("jinja2")
    template = jinja2.Template(
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}",
        undefined=jinja2.StrictUndefined,
    )
    row = load(published, "sft_plain")[0]
    assert template.render(messages=row["messages"]) == "<|user|>Q?<|assistant|><think>\nè ½\n"


def test_rows_keep_their_order_over_several_files(tmp_path: Path, load: Any) -> None:
    rows = [{"messages": chat("Q?", "A."), "id": f"{i:03}"} for i in range(11)]
    repo = write(tmp_path / "repo", {"sft": Sft.from_rows(rows)}, max_rows_per_file=4)
    assert [path.as_posix() for path in repo.files] == [
        "README.md",
        *(f"sft/train-{i:05}-of-00003.parquet" for i in range(3)),
    ]
    assert load(repo.folder, "sft")["id"] == [f"{i:03}" for i in range(11)]


def test_files_hold_no_arrow_schema_and_no_large_types(published: Path) -> None:
    for path in published.rglob("*.parquet"):
        schema = pq.read_schema(path)
        assert b"ARROW:schema" not in (schema.metadata or {})
        assert "large" not in str(schema)
        assert pq.read_metadata(path).row_group(0).column(0).compression == "ZSTD"


def test_metadata_counts_what_was_written(published: Path) -> None:
    data = yaml_of(published)
    assert [config["config_name"] for config in data["configs"]] == list(CONFIGS)
    n_others = len(CONFIGS) - 1
    assert [config.get("default") for config in data["configs"]] == [True] + [None] * n_others
    for info in data["dataset_info"]:
        name = info["config_name"]
        assert info["splits"][0]["num_examples"] == ALL[name].height
        files = (published / name).iterdir()
        assert info["download_size"] == sum(path.stat().st_size for path in files)
    assert data["license"] == "mit"
    assert "synthetic" in data["tags"]
    assert data["size_categories"] == ["n<1K"]


def test_a_single_config_loads_too(tmp_path: Path, load: Any) -> None:
    repo = write(tmp_path / "repo", {"rl": TABLES["rl"]})
    assert load(repo.folder, "rl").num_rows == 3
    assert yaml_of(repo.folder)["configs"][0]["default"] is True


# ---- same data, same bytes


def test_equal_data_gives_equal_bytes(published: Path, tmp_path: Path) -> None:
    again = {name: pl.concat([df[:1], df[1:]], rechunk=False) for name, df in ALL.items()}
    reordered = dict(reversed(again.items()))
    assert contents(write(tmp_path / "again", reordered).folder) == contents(published)


def test_the_repository_says_what_is_in_the_folder(tmp_path: Path) -> None:
    repo = write(tmp_path / "repo")
    found = contents(repo.folder)
    assert [path.as_posix() for path in repo.files] == sorted(found)
    assert repo.n_bytes == sum(map(len, found.values()))
    assert repo.rows == {
        **{"sft": 2, "sft_plain": 1, "prm": 4, "prm_verified": 2},
        **{"rl": 3, "traces": 6, "rollouts": 2},
    }
    assert repo.empty == ()


# ---- empty, unknown, broken


def test_an_empty_table_is_left_out_and_named(tmp_path: Path) -> None:
    repo = write(tmp_path / "repo", {"sft": Sft.empty(), "prm": TABLES["prm"]})
    assert repo.empty == ("sft",)
    assert not (repo.folder / "sft").exists()
    assert "gave them no row: `sft`" in readme(repo.folder)
    data = yaml_of(repo.folder)
    assert [config["config_name"] for config in data["configs"]] == ["prm"]


def test_a_run_without_code_publishes_nothing_about_it(tmp_path: Path) -> None:
    absent = write(tmp_path / "absent")
    assert "code" not in readme(absent.folder).replace("code version", "")
    empty = write(tmp_path / "empty", {**TABLES, "code_thoughts": CodeThought.empty()})
    assert empty.empty == ("code_thoughts",)
    assert empty.rows == absent.rows
    assert "## Code\n" not in readme(empty.folder)


def test_a_run_of_code_alone_publishes_no_word_about_human_thoughts(
    tmp_path: Path, load: Any
) -> None:
    others = {name: df.clear() for name, df in TABLES.items()}
    repo = write(tmp_path / "repo", {**others, "code_thoughts": CODE_THOUGHTS, "rl": CODE_RL})
    assert repo.rows == {"rl": 2, "code_thoughts": 4}
    assert load(repo.folder, "code_thoughts")[0]["claims"][1]["verdict"] == "contradicted"
    assert "human" not in readme(repo.folder)


@pytest.mark.parametrize("tables", [{}, {"sft": Sft.empty(), "rl": Rl.empty()}])
def test_nothing_to_publish_is_an_error(tables: Any, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="every table is empty"):
        write_repository(tmp_path / "repo", tables, lineage=LINEAGE)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"use sft, .*, prm, .*, rl, .*, kto, .*, rollouts"):
        write(tmp_path / "repo", {"nodes": TABLES["sft"]})
    with pytest.raises(PublishError, match="max_rows_per_file=0"):
        write(tmp_path / "repo", max_rows_per_file=0)


def test_a_table_that_breaks_its_contract_leaves_the_old_repository(tmp_path: Path) -> None:
    before = contents(write(tmp_path / "repo").folder)
    twice = pl.concat([TABLES["sft"], TABLES["sft"]])
    with pytest.raises(ContractError, match="primary_key"):
        write(tmp_path / "repo", {"traces": TABLES["traces"], "sft": twice})
    assert contents(tmp_path / "repo") == before
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


# ---- replacing a folder


def test_a_new_version_replaces_all_of_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "repo")
    write(tmp_path / "repo", {"prm": TABLES["prm"]})
    assert sorted(contents(tmp_path / "repo")) == [
        "README.md",
        "prm/train-00000-of-00001.parquet",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


def test_a_crash_while_writing_leaves_the_old_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(write(tmp_path / "repo").folder)

    def crash(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(repository, "card", crash)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "repo", {"prm": TABLES["prm"]})
    assert contents(tmp_path / "repo") == before
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


def test_parents_are_made_and_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b"):
        assert write(folder).folder == folder
        assert (folder / "README.md").exists()


def test_a_link_goes_on_pointing_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "repo")
    write(tmp_path / "repo")
    write(tmp_path / "link", {"prm": TABLES["prm"]})
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "repo" / "sft").exists()


@pytest.mark.parametrize(
    "foreign", ["notes.txt", ".git/config", "sft/mine.csv", "prm/old/train-0.parquet"]
)
def test_a_folder_with_anything_of_somebody_else_is_refused(foreign: str, tmp_path: Path) -> None:
    write(tmp_path / "repo")
    path = tmp_path / "repo" / foreign
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(PublishError, match=f"holds '{foreign.split('/')[0]}'"):
        write(tmp_path / "repo")
    assert path.read_text() == "mine"


def test_a_card_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# My project")
    with pytest.raises(PublishError, match=r"holds 'README\.md'"):
        write(tmp_path)


def test_a_dataset_without_our_card_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "repo")
    (tmp_path / "repo" / "README.md").unlink()
    with pytest.raises(PublishError, match="holds 'prm'"):
        write(tmp_path / "repo")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "repo").write_text("")
    with pytest.raises(PublishError, match="is a file"):
        write(tmp_path / "repo")


def fill(folder: Path, text: str) -> None:
    with replacing(folder) as fresh:
        (fresh / "a").write_text(text)
        (fresh / "b").write_text(text)


def test_systems_without_exchange_replace_by_renaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "_exchange", lambda *_: False)
    for text in ("old", "new"):
        fill(tmp_path / "x", text)
    assert (tmp_path / "x" / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_crash_between_the_two_renames_is_mended_by_the_next_call(tmp_path: Path) -> None:
    fill(tmp_path / "x", "old")
    (tmp_path / "x").rename(tmp_path / ".x.previous")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "x"):
        assert (tmp_path / "x" / "a").read_text() == "old"
        _ = 1 / 0
    assert (tmp_path / "x" / "a").read_text() == "old"


def test_staging_folders_of_killed_processes_are_cleared_once_they_are_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".x.new-1", tmp_path / ".x.new-2"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    fill(tmp_path / "x", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.new-2", "x"]


def test_the_result_is_as_readable_as_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    fill(tmp_path / "x", "text")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_reader_never_finds_the_folder_missing(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    fill(folder, "0")
    (tmp_path / "y").mkdir()
    if not swap._exchange(folder, tmp_path / "y"):
        pytest.skip("this system replaces a folder by two renames")
    fill(folder, "0")
    missing: list[bool] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            missing.append(not folder.exists())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for i in range(100):
        fill(folder, str(i))
    done.set()
    watcher.join()
    assert missing
    assert not any(missing)


# ---- lineage and licences


def test_seeds_are_counted_by_source_and_licence() -> None:
    row: Row = {
        "license": "MIT",
        "domain": "math",
        "question": "Q?",
        "thought": "x",
        "steps": ["x"],
        "factors": ["Compute"],
        "answer": "1",
        "verifier": "math",
        "facts": [],
        "meta": "{}",
    }
    sources = ["b", "a", "b"]
    seeds = Seed.from_rows({**row, "seed_id": str(i), "source": s} for i, s in enumerate(sources))
    assert seed_sources(seeds) == (SeedSource("a", "MIT", 1), SeedSource("b", "MIT", 2))


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        (["MIT"], ("mit", None)),
        (["CC-BY-SA-4.0"], ("cc-by-sa-4.0", None)),
        ([], ("unknown", None)),
        (["unknown"], ("unknown", None)),
        ([""], ("unknown", None)),
        (["MIT", "CC-BY-4.0"], ("other", "cc-by-4.0-and-mit")),
        (["MIT", ""], ("other", "mit-and-unknown")),
        (["My Company's terms"], ("other", "my-company-s-terms")),
    ],
)
def test_licence_is_one_that_the_hub_knows(licenses: list[str], expected: Any) -> None:
    assert hub_license(licenses) == expected


def test_several_licences_are_all_named_on_the_card(tmp_path: Path) -> None:
    sources = (SeedSource("a", "MIT", 3), SeedSource("b", "CC-BY-4.0", 1))
    lineage = Lineage("e", "m", {}, "1", sources)
    folder = write(tmp_path / "repo", {"rl": TABLES["rl"]}, lineage=lineage).folder
    data = yaml_of(folder)
    assert (data["license"], data["license_name"]) == ("other", "cc-by-4.0-and-mit")
    assert "CC-BY-4.0 (1), MIT (3)" in readme(folder)


# ---- the card


def test_card_says_what_the_tables_hold() -> None:
    text = card(TABLES, lineage=LINEAGE)
    for statement in (
        "| `prm` | 4 |",
        "| `prm_verified` | 2 |",
        "that step and all behind it are wrong",
        "5 generated and 1 human traces",
        "Steps per trace: median 1.5, at most 4",
        "33.3 % of the 3 that could be decided",
        "Wrong traces: 40.0 % of the generated ones",
        "| wrong | 2 | 40.0 % |",
        "| unverifiable | 1 | 20.0 % |",
        "| Compute | 6 | 50.0 % |",
        "8 in 4 traces, 50.0 % of them wrong",
        "hold a wrong step: 75.0 %",
        "go on after their first wrong step: 1;",
        "Mean pass rate from the bare question: 25.0 % (10 rollouts of 2 questions; "
        "1 never solved, 0 always)",
    ):
        assert statement in text


def test_card_leads_with_the_notes_and_says_where_the_data_came_from() -> None:
    text = card(TABLES, lineage=LINEAGE)
    assert text.index("**toy** model") < text.index("## Configs")
    for statement in ("`fake:0123`", "| setting `c_puct` | `1.5` |", "| gsm.jsonl | MIT | 2 |"):
        assert statement in text
    assert "created" not in text


def test_card_warns_of_silent_truncation_with_the_longest_rows() -> None:
    text = card(TABLES, lineage=LINEAGE, longest_tokens={"sft": 1234})
    assert "`max_length=1024`" in text
    # "Q?" and "<Think_Start>…"; the prompt and three times "step n" with a separator.
    assert "16 characters or 1,234 tokens (`sft`)" in text
    assert "31 characters (`prm`)" in text


def test_card_shows_how_to_load_each_config_under_the_repository_name() -> None:
    text = card(TABLES, lineage=LINEAGE, repo_id="acme/thoughts", title="Thoughts")
    assert "# Thoughts\n" in text
    for name in TABLES:
        assert f'load_dataset("acme/thoughts", "{name}", split="train")' in text
    assert "streaming=True" in text


def test_card_says_nothing_of_configs_that_are_not_there() -> None:
    text = card({"rl": TABLES["rl"]}, lineage=Lineage("e", "m", {}, "1"))
    for word in ("step_scores", "thought factor", "SFTTrainer", "`traces`", "`prm`"):
        assert word not in text


def test_names_from_outside_cannot_break_the_card(tmp_path: Path) -> None:
    hostile = "a|b\n---\n# <script>`x`"
    sources = (SeedSource(hostile, hostile, 1),)
    lineage = Lineage(hostile, hostile, {hostile: hostile}, hostile, sources, hostile)
    folder = write(tmp_path / "repo", lineage=lineage, title=hostile).folder
    assert yaml_of(folder)["pretty_name"] == hostile
    lines = readme(folder).partition(MARK)[2].splitlines()
    tables = [line.replace("\\|", "") for line in lines if line.startswith("| ") and "a" in line]
    assert all(line.count("|") in (3, 4) for line in tables)
    assert not any(line.lstrip().startswith("# <") for line in lines)


# ---- the card about what searches and labels give besides


def test_card_counts_what_searches_and_labels_gave() -> None:
    text = card(SEARCHED, lineage=LINEAGE)
    for statement in (
        "(`preference`): 3; 66.7 % of the wrong replies end at the step that spoilt them",
        "(`step_preference`), by kind: 2 factor, 1 replica",
        "(`kto`): 25.0 % of 4",
        "(`policy_value`): 3; visits of each: median 3, at most 9",
        "(`critique`): 3, of which 66.7 % find an error",
        "(`corrections`): 2 splice, 1 attempts; by wrong attempts in them: 2 with 1, 1 with 3",
        "who named the factor: 2 native, 1 classifier; 33.3 % are too unsure to be used unseen",
    ):
        assert statement in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("corrections", "Mask the loss on steps whose role is `wrong`"),
        ("preference", "share stand in both"),
        ("preference", 'Mask it, or make the data with `export.wrong_ends_at = "answer"`'),
        ("kto", 'Mask it, or make the data with `export.wrong_ends_at = "answer"`'),
        ("step_preference", "without a chat template"),
        ("advantages", "a null is not a zero"),
        ("policy_value", "split by `seed_id`"),
        ("critique", "the verdict is checked and the analysis is not"),
        ("rubric_rewards", "Never mix these with verified rewards"),
    ],
)
def test_card_tells_trainers_of_each_config_and_of_no_other(name: str, words: str) -> None:
    assert words in card({name: SEARCHED[name]}, lineage=LINEAGE)
    assert words not in card(TABLES, lineage=LINEAGE)


def test_card_names_the_version_of_the_taxonomy_where_there_is_one() -> None:
    line = "| taxonomy of thought factors | `mylab-1` |"
    assert line in card(TABLES, lineage=replace(LINEAGE, taxonomy="mylab-1"))
    assert "taxonomy" not in card(TABLES, lineage=LINEAGE)


# ---- the card about code


def test_card_says_how_thoughts_about_code_fared() -> None:
    text = card({"code_thoughts": CODE_THOUGHTS}, lineage=LINEAGE)
    for statement in (
        "Thoughts that lead to programs, written back from the programs",
        "| model | 1 | 100.0 % | 2 |",
        "| grounded | 1 | 0.0 % | 1 |",
        "| narrator | 1 | 100.0 % | 1 |",
        "| holds | 4 | 80.0 % | 5 | 62.5 % |",
        "| contradicted | 0 | 0.0 % | 2 | 25.0 % |",
        "| uncheckable | 1 | 20.0 % | 1 | 12.5 % |",
        "Rows with a contradicted claim: 50.0 %",
        "Verified rows: 50.0 %",
        # (1/4 + 3/4 + 4/4) / 3: the thought without round trips is not counted as a failure.
        "pass the tests: 66.7 % on average; from the question alone: 25.0 %;",
        "which is the difference: +0.42 (3 rows)",
    ):
        assert statement in text
    assert "verify_completion" not in text


def test_card_says_nothing_of_round_trips_that_were_not_made() -> None:
    untried = CodeThought.from_rows([code_thought("k1", "narrator", 0, "holds", **UNTRIED)])
    text = card({"code_thoughts": untried}, lineage=LINEAGE)
    assert "| narrator | 1 | 100.0 % | 1 |" in text
    assert "on average" not in text


def test_card_counts_thoughts_without_any_claim() -> None:
    silent = CodeThought.from_rows([code_thought("k1", "narrator", 0)])
    assert "| holds | 0 | n/a | 0 | n/a |" in card({"code_thoughts": silent}, lineage=LINEAGE)


def test_the_reward_of_questions_about_code_works_as_the_card_shows_it() -> None:
    text = card({"rl": pl.concat([TABLES["rl"], CODE_RL])}, lineage=LINEAGE)
    snippet = text.partition("## Code")[2].partition("```python")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(snippet, names)
    row = CODE_RL.row(1, named=True)
    assert [names["reward"](answer, row) for answer in ("[1]", "[2]", "no idea")] == [1, 0, 0]


def test_card_shows_no_reward_by_running_code_where_no_question_is_about_code() -> None:
    text = card({"rl": TABLES["rl"], "code_thoughts": CODE_THOUGHTS}, lineage=LINEAGE)
    assert "## Code\n" in text
    assert "verify_completion" not in text


def test_traces_about_code_do_not_enter_the_pass_rate_of_generated_ones() -> None:
    about_code = trace("k2", "correct", "SimulateExecution") | {"rollout_id": None}
    walk = trace("w1", "correct", "Answer", by="code") | {"rollout_id": None}
    added = Trace.from_rows([about_code, walk])
    text = card({"traces": pl.concat([TABLES["traces"], added])}, lineage=LINEAGE)
    assert "5 generated and 1 human traces, and 2 about code" in text
    assert "33.3 % of the 3 that could be decided" in text
