import hashlib
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hub_client import environment
from hub_server import HubServer

from datagen.curate.benchmarks import BENCHMARKS, read_benchmarks
from datagen.errors import ConfigError

ROWS = [{"question": "What is 2 + 3?", "answer": "5"}, {"question": "Und dann?", "answer": "6"}]


def questions(wanted: str, *, name: str = "mine") -> list[str]:
    (one,) = read_benchmarks({name: wanted})
    assert one.name == name
    return one.questions.to_list()


def lines(path: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def dataset_folder(path: Path, *, splits: tuple[str, ...] = ("train", "test")) -> Path:
    path.mkdir()
    for split in splits:
        lines(path / f"{split}.jsonl", [{"problem": f"{split}: {row['question']}"} for row in ROWS])
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson", "json", "csv", "parquet"])
def test_a_file_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine.{suffix}"
    frame = pl.DataFrame(ROWS)
    if suffix == "csv":
        frame.write_csv(path)
    elif suffix == "parquet":
        frame.write_parquet(path)
    elif suffix == "json":
        path.write_text(json.dumps(ROWS))
    else:
        lines(path)
    assert questions(str(path)) == [row["question"] for row in ROWS]


def test_the_digest_is_that_of_the_questions_in_order(tmp_path: Path) -> None:
    (one,) = read_benchmarks({"mine": str(lines(tmp_path / "one.jsonl"))})
    assert one.source == str(tmp_path / "one.jsonl")
    said = "".join(row["question"] + "\0" for row in ROWS)
    assert one.digest == hashlib.sha256(said.encode()).hexdigest()


def test_benchmarks_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    path = str(lines(tmp_path / "one.jsonl"))
    assert [one.name for one in read_benchmarks({"b": path, "a": path})] == ["a", "b"]


def test_the_column_is_guessed_in_any_case(tmp_path: Path) -> None:
    path = lines(tmp_path / "one.jsonl", [{"Answer": "text", "Problem": "Why?"}])
    assert questions(str(path)) == ["Why?"]


def test_the_column_can_be_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "one.jsonl")
    assert questions(f"{path}#answer") == ["5", "6"]


def test_rows_without_a_question_keep_their_place(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"question": null}\n{"question": "Why?"}\n{"other": 1}\n')
    assert questions(str(path)) == ["", "Why?", ""]


def test_a_dataset_folder_is_read_in_its_test_split(tmp_path: Path) -> None:
    folder = dataset_folder(tmp_path / "org")
    assert questions(str(folder)) == [f"test: {row['question']}" for row in ROWS]
    assert questions(f"{folder}#problem") == [f"test: {row['question']}" for row in ROWS]


def test_a_dataset_of_one_split_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    folder = dataset_folder(tmp_path / "org", splits=("train",))
    assert questions(str(folder))[0] == "train: What is 2 + 3?"


def error(wanted: str, *, name: str = "gsm8k") -> str:
    with pytest.raises(ConfigError) as caught:
        read_benchmarks({name: wanted})
    return str(caught.value)


def test_a_missing_file_is_an_error_that_names_the_fix() -> None:
    message = error("gsm8k_test.jsonl")
    assert "'gsm8k'" in message
    assert "'gsm8k_test.jsonl'" in message
    assert "does not exist" in message
    assert 'curate.benchmarks.gsm8k = "gsm8k.jsonl"' in message


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    message = error("hub", name="gsm9k")
    assert "'gsm9k'" in message
    assert all(name in message for name in BENCHMARKS)


def test_a_file_without_questions_is_an_error(tmp_path: Path) -> None:
    blank = lines(tmp_path / "blank.jsonl", [{"question": " "}, {"question": "?"}])
    assert "none of its rows holds a question" in error(str(blank))
    (tmp_path / "empty.jsonl").write_text("")
    assert "empty.jsonl" in error(str(tmp_path / "empty.jsonl"))


def test_a_file_without_the_column_is_an_error_that_lists_its_columns(tmp_path: Path) -> None:
    path = lines(tmp_path / "one.jsonl", [{"a": "x", "b": "y"}])
    assert "no column of questions, only a, b" in error(str(path))
    assert "no column 'c' of strings, only a, b" in error(f"{path}#c")


def test_a_column_that_holds_no_text_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text('{"prompt": [{"role": "user", "content": "Why?"}], "query": "Why?"}\n')
    assert questions(str(path)) == ["Why?"]
    assert "'prompt'" in error(f"{path}#prompt")


@pytest.mark.parametrize("name", ["one.txt", "one.jsonl", "one.parquet", "one.json"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{ no json")
    assert name in error(str(tmp_path / name))


def test_a_dataset_without_a_test_split_is_an_error_that_lists_its_splits(tmp_path: Path) -> None:
    folder = dataset_folder(tmp_path / "org", splits=("train", "validation"))
    assert "no split 'test', only train, validation" in error(str(folder))


# The Hub


PROGRAM = """
import json, sys
from datagen.curate.benchmarks import read_benchmarks
from datagen.errors import ConfigError
try:
    found = read_benchmarks(json.loads(sys.argv[1]))
    said = [[one.name, one.source, one.questions.to_list()] for one in found]
except ConfigError as error:
    said = str(error)
print("\\n" + json.dumps(said))
"""


def read_elsewhere(wanted: dict[str, str], url: str, home: Path, **variables: str) -> object:
    """In another process, since the Hub's address is read when its client is imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(wanted)],
        env=environment(url, home, token=None) | variables,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_an_unreachable_hub_is_an_error_that_names_the_fix(tmp_path: Path) -> None:
    message = read_elsewhere({"gsm8k": "hub"}, "http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert isinstance(message, str)
    assert message.startswith("benchmark 'gsm8k' cannot be read from 'openai/gsm8k:main'")
    assert 'curate.benchmarks.gsm8k = "gsm8k.jsonl"' in message
    assert len(message.splitlines()) == 1


@pytest.mark.slow
def test_the_hub_is_read_by_name_or_repository_and_again_when_offline(tmp_path: Path) -> None:
    card = (
        "---\nconfigs:\n- config_name: main\n  data_files:\n"
        "  - {split: train, path: train.jsonl}\n  - {split: test, path: test.jsonl}\n---\n"
    )
    folder = dataset_folder(tmp_path / "data")
    test = lines(folder / "test.jsonl").read_bytes()
    train = lines(folder / "train.jsonl", ROWS[:1]).read_bytes()
    home = tmp_path / "home"
    home.mkdir()
    wanted = {"gsm8k": "hub", "mine": "acme/mine:main#answer"}
    with HubServer(tmp_path / "server", {}) as server:
        for repo in ("openai/gsm8k", "acme/mine"):
            server.create(repo)
            commit = server.commit(
                repo, {"README.md": card.encode(), "train.jsonl": train, "test.jsonl": test}
            )
        found = read_elsewhere(wanted, server.url, home)
    assert found == [
        ["gsm8k", f"openai/gsm8k:main@{commit.oid} (test)", [row["question"] for row in ROWS]],
        ["mine", f"acme/mine:main@{commit.oid} (test)", ["5", "6"]],
    ]
    assert read_elsewhere(wanted, server.url, home, HF_HUB_OFFLINE="1") == found
