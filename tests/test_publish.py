"""Publishing: folders that real loaders read, in splits of questions, equal for equal data."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pyarrow.parquet as pq
import pytest

from datagen.errors import PublishError
from datagen.publish import write_repository
from datagen.publish.configs import CONFIGS
from datagen.publish.parquet import row_bytes
from schemas import (
    Advantage,
    CodeThought,
    ContractError,
    Correction,
    PolicyValue,
    RawRollout,
    Rl,
    RubricReward,
    Sft,
    StepPreference,
    Tag,
    Trace,
)
from tests.published_rows import (
    ALL,
    BOTH,
    CODE_THOUGHTS,
    HELD_OUT,
    IN_TEST,
    LINEAGE,
    TABLES,
    chat,
    code_rl,
    contents,
    questions_of,
    readme,
    write,
    yaml_of,
)

CONSUMER_COLUMNS = {
    "sft": ["messages", "id", "seed_id", "masked_spans", "summary"],
    "sft_plain": ["messages", "id", "seed_id", "masked_spans", "summary"],
    "prm": ["prompt", "completions", "labels", "id", "seed_id", "step_scores"],
    "prm_verified": ["prompt", "completions", "labels", "id", "seed_id", "step_scores"],
    "orm": ["prompt", "completion", "label", "id", "seed_id"],
    "processbench": [
        *("id", "generator", "problem", "steps", "final_answer_correct", "label", "seed_id"),
    ],
    "rl": [
        *("prompt", "solution", "answer", "data_source", "ability", "reward_model", "extra_info"),
    ],
    "preference": ["prompt", "chosen", "rejected", "id", "seed_id"],
    "step_preference": StepPreference.column_names(),
    "kto": ["prompt", "completion", "label", "id", "seed_id"],
    "advantages": Advantage.column_names(),
    "policy_value": PolicyValue.column_names(),
    "critique": ["messages", "id", "seed_id", "label", "n_steps"],
    "rubric_rewards": RubricReward.column_names(),
    "traces": Trace.column_names(),
    "corrections": Correction.column_names(),
    "tags": Tag.column_names(),
    "rollouts": RawRollout.column_names(),
    "code_thoughts": CodeThought.column_names(),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All configs in one folder, for tests that only read it."""
    return write(tmp_path_factory.mktemp("hub") / "repo", BOTH).folder


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``load_dataset`` with a cache of its own, in a working directory of its own."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    def load_split(folder: Path, config: str | None, split: str = "train", **over: Any) -> Any:
        cache = str(tmp_path / "cache")
        return datasets.load_dataset(str(folder), config, split=split, cache_dir=cache, **over)

    return load_split


# ---- what loaders see

_READ_ALL = """
import json, sys
from datasets import load_dataset
folder, names = sys.argv[1], sys.argv[2:]
for name in [*names, None]:
    data = load_dataset(folder, name)
    stream = load_dataset(folder, name, streaming=True)
    print(json.dumps({
        "rows": {split: data[split].to_list() for split in data},
        "streamed": {split: list(stream[split]) for split in stream},
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
        rows = {"train": ALL[name].to_dicts()}
        if name in IN_TEST:
            rows["test"] = IN_TEST[name].to_dicts()
        assert seen["rows"] == seen["streamed"] == rows
        assert seen["columns"] == CONSUMER_COLUMNS[name]
        features = CONFIGS[name].contract.features().to_dict()
        assert seen["features"] == seen["stream_features"] == json.loads(json.dumps(features))
    assert default["rows"]["train"] == TABLES["sft"].to_dicts()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(IN_TEST))
def test_a_config_concatenates_with_ordinary_rows(name: str, published: Path, load: Any) -> None:
    rows = load(published, name, "train"), load(published, name, "test")
    # Rows of one table are types of one table only if nothing in them is left to guess.
    ordinary = datasets.Dataset.from_list(
        [*ALL[name].to_dicts(), *IN_TEST[name].to_dicts()], features=rows[0].features
    )
    both = datasets.concatenate_datasets([*rows, ordinary])
    assert both.to_list() == 2 * [*ALL[name].to_dicts(), *IN_TEST[name].to_dicts()]


_CHAT = [{"role": "user", "content": "Hi"}]
_REPLY = [{"role": "assistant", "content": "Ho"}]
ORDINARY = {
    "sft": {
        **{"messages": [*_CHAT, *_REPLY], "id": "x", "seed_id": "y", "summary": "z"},
        "masked_spans": [{"start": 0, "end": 1}],
    },
    "prm": {
        **{"prompt": "Q\n", "completions": ["a"], "labels": [True]},
        **{"id": "x", "seed_id": "y", "step_scores": [1.0]},
    },
    "orm": {"prompt": "Q\n", "completion": "a", "label": 1, "id": "x", "seed_id": "y"},
    "preference": {
        **{"prompt": _CHAT, "chosen": _REPLY, "rejected": _REPLY},
        **{"id": "x", "seed_id": "y"},
    },
    "kto": {
        **{"prompt": _CHAT, "completion": _REPLY, "label": True},
        **{"id": "x", "seed_id": "y"},
    },
    "processbench": {
        **{"id": "x", "generator": "g", "problem": "Q", "steps": ["a"]},
        **{"final_answer_correct": True, "label": -1, "seed_id": "y"},
    },
    "rl": {
        **{"prompt": _CHAT, "solution": "$1$", "answer": "1", "data_source": "d", "ability": "a"},
        "reward_model": {"style": "rule", "ground_truth": "1", "verifier": "math"},
        "extra_info": {
            **{"index": 0, "split": "train", "seed_id": "y", "verifier": "math"},
            **{"pass_rate": 0.5, "n_rollouts": 2, "difficulty": "medium"},
        },
    },
}


@pytest.mark.parametrize("name", list(ORDINARY))
def test_what_trainers_read_concatenates_with_rows_whose_types_were_guessed(
    name: str, published: Path, load: Any
) -> None:
    ordinary = datasets.Dataset.from_list([ORDINARY[name]])
    both = datasets.concatenate_datasets([load(published, name), ordinary])
    assert both[-1] == ORDINARY[name]
    assert len(both) == ALL[name].height + 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_folder_of_a_config_loads_as_a_data_dir(split: str, published: Path, load: Any) -> None:
    rows = load(published, None, split, data_dir="rl")
    assert rows.to_list() == {"train": ALL, "test": IN_TEST}[split]["rl"].to_dicts()


def test_messages_are_what_a_chat_template_takes(published: Path, load: Any) -> None:
    jinja2 = pytest.importorskip("jinja2")
    template = jinja2.Template(
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}",
        undefined=jinja2.StrictUndefined,
    )
    row = load(published, "sft_plain")[0]
    assert template.render(messages=row["messages"]) == "<|user|>Q?<|assistant|><think>\nè ½\n"


def test_files_hold_no_arrow_schema_and_no_large_types(published: Path) -> None:
    for path in published.rglob("*.parquet"):
        schema = pq.read_schema(path)
        # The footer itself: what reads a schema takes the stored one out of its metadata.
        assert b"ARROW:schema" not in (pq.read_metadata(path).metadata or {})
        assert "large" not in str(schema)
        assert pq.read_metadata(path).row_group(0).column(0).compression == "ZSTD"


def test_metadata_counts_what_was_written(published: Path) -> None:
    data = yaml_of(published)
    assert [config["config_name"] for config in data["configs"]] == list(CONFIGS)
    n_others = len(CONFIGS) - 1
    assert [config.get("default") for config in data["configs"]] == [True] + [None] * n_others
    infos = {info["config_name"]: info for info in data["dataset_info"]}
    for config in data["configs"]:
        name = config["config_name"]
        info = infos[name]
        counts = {split["name"]: split["num_examples"] for split in info["splits"]}
        held_out = {"test": 1} if name in IN_TEST else {}
        assert counts == {"train": ALL[name].height, **held_out}
        assert config["data_files"] == [
            {"split": split, "path": f"{name}/{split}-*"} for split in counts
        ]
        files = (published / name).iterdir()
        assert info["download_size"] == sum(path.stat().st_size for path in files)
    assert data["license"] == "mit"
    assert "synthetic" in data["tags"]
    assert data["size_categories"] == ["n<1K"]


def test_a_single_config_loads_too(tmp_path: Path, load: Any) -> None:
    repo = write(tmp_path / "repo", {"rl": TABLES["rl"]})
    assert load(repo.folder, "rl").num_rows == 3
    assert yaml_of(repo.folder)["configs"][0]["default"] is True


# ---- splits


def test_each_row_is_where_its_question_is(published: Path) -> None:
    for name in BOTH:
        seed = CONFIGS[name].seed()
        for split in ("train", "test"):
            files = sorted((published / name).glob(f"{split}-*.parquet"))
            seeds = {i for path in files for i in pl.read_parquet(path).select(s=seed)["s"]}
            assert (HELD_OUT in seeds) == (split == "test" and name in IN_TEST)
            assert len(seeds - {HELD_OUT}) == 0 or split == "train"


def test_a_config_without_rows_in_a_split_lacks_that_split(published: Path) -> None:
    assert not list((published / "rubric_rewards").glob("test-*"))
    assert "| `rubric_rewards` | 1 | 0 |" in readme(published)


def test_a_config_that_is_only_in_test_is_loaded_from_there(tmp_path: Path, load: Any) -> None:
    repo = write(tmp_path / "repo", {"kto": IN_TEST["kto"]})
    assert list(repo.manifest.configs["kto"].splits) == ["test"]
    assert load(repo.folder, "kto", "test").num_rows == 1
    assert '"kto", split="test")' in readme(repo.folder)
    assert "train_dataset=kto" in readme(repo.folder)


def test_rows_about_a_program_go_where_its_tasks_are(tmp_path: Path) -> None:
    task = questions_of({"sft": TABLES["sft"]}).with_columns(
        question_id=pl.lit("c1/output/0"), seed_id=pl.lit("c1"), split=pl.lit("test")
    )
    repo = write(tmp_path / "repo", {"code_thoughts": CODE_THOUGHTS}, questions=task)
    assert list(repo.manifest.configs["code_thoughts"].splits) == ["test"]


def test_a_row_of_an_unlisted_question_is_an_error_that_names_it(tmp_path: Path) -> None:
    questions = questions_of(TABLES).filter(pl.col("question_id") != "s1")
    with pytest.raises(PublishError, match=r"sft: 1 of the questions .*: 's1'"):
        write(tmp_path / "repo", TABLES, questions=questions)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("field", "value"), [("split", "test"), ("index", 7)])
def test_rl_must_say_of_its_rows_what_the_questions_say(
    field: str, value: Any, tmp_path: Path
) -> None:
    rows = TABLES["rl"].to_dicts()
    rows[1]["extra_info"][field] = value
    with pytest.raises(PublishError, match=r"rl: 1 of 3 rows .* seed_id='s1'"):
        write(tmp_path / "repo", {"rl": Rl.from_rows(rows)})


def test_questions_that_break_their_contract_are_refused(tmp_path: Path) -> None:
    twice = pl.concat([questions_of(TABLES)] * 2)
    with pytest.raises(ContractError, match="primary_key"):
        write(tmp_path / "repo", TABLES, questions=twice)


# ---- files of bounded size


def sft_rows(n: int, length: int = 10) -> pl.DataFrame:
    return Sft.from_rows(
        {
            "messages": chat("Q?", "A" * length),
            "id": f"{i:03}",
            "seed_id": "s1",
            "masked_spans": [],
        }
        for i in range(n)
    )


def test_rows_keep_their_order_over_several_files(tmp_path: Path, load: Any) -> None:
    table = sft_rows(11)
    bound = int(row_bytes(table)[0]) * 4
    repo = write(tmp_path / "repo", {"sft": table}, max_bytes_per_file=bound)
    names = [path.as_posix() for path in repo.files if path.suffix == ".parquet"]
    assert names == [f"sft/train-{i:05}-of-00003.parquet" for i in range(3)]
    assert [file.rows for file in repo.manifest.configs["sft"].files] == [4, 4, 3]
    assert load(repo.folder, "sft")["id"] == [f"{i:03}" for i in range(11)]


def test_files_hold_about_the_same_bytes_however_unequal_rows_are(tmp_path: Path) -> None:
    table = pl.concat([sft_rows(100), sft_rows(10, 10_000).with_columns(pl.col("id") + "-long")])
    repo = write(tmp_path / "repo", {"sft": table}, max_bytes_per_file=25_000)
    files = repo.manifest.configs["sft"].files
    assert len(files) == 5
    assert files[0].rows > 100
    assert {file.rows for file in files[1:]} == {2}


def test_a_row_larger_than_a_file_may_be_has_one_of_its_own(tmp_path: Path) -> None:
    tables = sft_rows(1), sft_rows(1, 9_000), sft_rows(1)
    table = pl.concat(df.with_columns(id=pl.lit(str(i))) for i, df in enumerate(tables))
    repo = write(tmp_path / "repo", {"sft": table}, max_bytes_per_file=2_000)
    assert [file.rows for file in repo.manifest.configs["sft"].files] == [2, 1]


def test_row_sizes_count_what_is_nested() -> None:
    small, large = (sft_rows(1, n) for n in (10, 1_010))
    assert row_bytes(large)[0] - row_bytes(small)[0] == 1_000
    for name, table in ALL.items():
        assert row_bytes(table).min() > 0, name  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]


def test_an_empty_list_and_a_null_have_a_size() -> None:
    table = pl.DataFrame({"a": [[], None]}, schema={"a": pl.List(pl.String)})
    assert row_bytes(table).to_list() == [8, 1]


# ---- same data, same bytes


def test_equal_data_gives_equal_bytes(published: Path, tmp_path: Path) -> None:
    again = {name: pl.concat([df[:1], df[1:]], rechunk=False) for name, df in BOTH.items()}
    reordered = dict(reversed(again.items()))
    repo = write(tmp_path / "again", reordered)
    assert contents(repo.folder) == contents(published)


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
    assert not re.search(r"\bcode\b(?! version)", readme(absent.folder))
    empty = write(tmp_path / "empty", {**TABLES, "code_thoughts": CodeThought.empty()})
    assert empty.empty == ("code_thoughts",)
    assert empty.rows == absent.rows
    assert "## Code\n" not in readme(empty.folder)


def test_a_run_of_code_alone_publishes_no_word_about_human_thoughts(
    tmp_path: Path, load: Any
) -> None:
    others = {name: df.clear() for name, df in TABLES.items()}
    repo = write(tmp_path / "repo", {**others, "code_thoughts": CODE_THOUGHTS, "rl": code_rl(0)})
    assert repo.rows == {"rl": 2, "code_thoughts": 4}
    assert load(repo.folder, "code_thoughts")[0]["claims"][1]["verdict"] == "contradicted"
    assert "human" not in readme(repo.folder)


@pytest.mark.parametrize("tables", [{}, {"sft": Sft.empty(), "rl": Rl.empty()}])
def test_nothing_to_publish_is_an_error(tables: Any, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="every table is empty"):
        write_repository(
            tmp_path / "repo", tables, lineage=LINEAGE, questions=questions_of({"rl": ALL["rl"]})
        )
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"use sft, .*, prm, .*, rl, .*, kto, .*, rollouts"):
        write(tmp_path / "repo", {"nodes": TABLES["sft"]})
    with pytest.raises(PublishError, match="max_bytes_per_file=0"):
        write(tmp_path / "repo", max_bytes_per_file=0)


def test_a_table_that_breaks_its_contract_leaves_the_old_repository(tmp_path: Path) -> None:
    before = contents(write(tmp_path / "repo").folder)
    twice = pl.concat([TABLES["sft"], TABLES["sft"]])
    with pytest.raises(ContractError, match="primary_key"):
        write(tmp_path / "repo", {"traces": TABLES["traces"], "sft": twice})
    assert contents(tmp_path / "repo") == before
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


def test_a_folder_that_is_published_again_is_never_read_from_a_cache(
    tmp_path: Path, load: Any
) -> None:
    folder = tmp_path / "repo"
    for answer in ("18", "81"):  # files of the same size
        rows = ALL["rl"].with_columns(answer=pl.lit(answer))
        write(folder, {"rl": rows})
        assert set(load(folder, "rl")["answer"]) == {answer}
