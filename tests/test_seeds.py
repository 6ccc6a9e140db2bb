"""Seed readers: every source gives the same table, and every bad row a reason."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.errors import ConfigError, SeedError
from datagen.factors.taxonomy import Factor
from datagen.seeds import SeedBatch, jsonl, read_seeds, seed_trace
from datagen.traces.markup import render_thought
from datagen.traces.model import Step
from schemas import Quarantine, Seed

GOOD = {"question": "What is 2+3?", "thought": "Add.\nIt is 5.", "answer": "5"}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows (dicts, or raw bytes for a line as it is) to a JSON Lines file."""

    def write(*rows: dict[str, Any] | bytes, name: str = "seeds.jsonl") -> Path:
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path = tmp_path / name
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path

    return write


def only_refusal(batch: SeedBatch) -> dict[str, Any]:
    assert batch.seeds.height == 1
    assert batch.quarantine.height == 1
    return batch.quarantine.row(0, named=True)


def first(batch: SeedBatch) -> dict[str, Any]:
    return batch.seeds.row(0, named=True)


# --- our own fields ---------------------------------------------------------------------------


def test_a_row_with_the_three_required_fields_becomes_a_seed(write: Write):
    batch = read_seeds(write(GOOD))
    assert first(batch) == {
        "seed_id": "68d56d2263c6c14f",
        "source": "seeds.jsonl",
        "license": "unknown",
        "domain": "math",
        "question": "What is 2+3?",
        "thought": "Add.\nIt is 5.",
        "steps": ["Add.\n", "It is 5."],
        "factors": ["Other", "Other"],
        "answer": "5",
        "verifier": "math",
        "criteria": None,
        "facts": [],
        "meta": "{}",
    }
    assert Seed.validate(batch.seeds).equals(batch.seeds)
    assert Quarantine.validate(batch.quarantine).is_empty()


def test_optional_fields_win_over_options_and_options_over_defaults(write: Write):
    own = {"seed_id": 7, "source": "mine", "license": "MIT", "domain": "code", "verifier": "choice"}
    path = write({**GOOD, **own}, GOOD)
    batch = read_seeds(path, source="s", license="CC0-1.0", domain="general", verifier="numeric")
    columns = ["source", "license", "domain", "verifier"]
    assert batch.seeds.select("seed_id", *columns).row(0) == ("7", *list(own.values())[1:])
    assert batch.seeds.select(columns).row(1) == ("s", "CC0-1.0", "general", "numeric")


def test_outside_mathematics_answers_are_compared_exactly_by_default(write: Write):
    assert first(read_seeds(write(GOOD), domain="code"))["verifier"] == "exact"


def test_unknown_fields_and_meta_are_gathered_as_one_json_object(write: Write):
    path = write({**GOOD, "level": 3, "tags": ["a", None], "meta": {"by": "Zoë"}})
    expected = {"by": "Zoë", "level": 3, "tags": ["a", None]}
    assert json.loads(first(read_seeds(path))["meta"]) == expected


def test_meta_may_be_an_object_written_as_text(write: Write):
    path = write({**GOOD, "meta": '{"by": 1}'})
    assert first(read_seeds(path))["meta"] == '{"by": 1}'


def test_mapping_renames_columns_and_an_empty_name_leaves_one_out(write: Write):
    row = {"problem": "q", "solution": "t", "answer": "a", "domain": "Algebra", "extra": 1}
    mapping = {"question": "problem", "thought": "solution", "domain": ""}
    seed = first(read_seeds(write(row), mapping=mapping))
    assert (seed["question"], seed["thought"], seed["answer"]) == ("q", "t", "a")
    assert (seed["domain"], seed["meta"]) == ("math", '{"extra": 1}')


@pytest.mark.parametrize(
    ("answer", "text"), [(5, "5"), (-2.5, "-2.5"), (10**30, "1" + "0" * 30), ("  5 \n", "5")]
)
def test_answers_may_be_numbers_and_lose_outer_space(write: Write, answer: object, text: str):
    assert first(read_seeds(write({**GOOD, "answer": answer})))["answer"] == text


def test_ids_are_the_same_for_the_same_file_and_differ_by_source(write: Write):
    path = write(GOOD, {**GOOD, "question": "Other?"})
    ids = read_seeds(path).seeds["seed_id"].to_list()
    assert ids == read_seeds(path).seeds["seed_id"].to_list()
    assert len({*ids, *read_seeds(path, source="x").seeds["seed_id"]}) == 4
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in ids)


def test_limit_counts_usable_rows(write: Write):
    rows = [b"bad", GOOD, b"bad", {**GOOD, "seed_id": "b"}, {**GOOD, "seed_id": "c"}]
    batch = read_seeds(write(*rows), limit=2)
    assert (batch.seeds.height, batch.quarantine["row_idx"].to_list()) == (2, [0, 2])


def test_blank_lines_a_byte_order_mark_and_windows_line_ends_are_accepted(write: Write):
    rows = [json.dumps({**GOOD, "seed_id": i}).encode() for i in "ab"]
    path = write(b"\xef\xbb\xbf" + rows[0] + b"\r", b"", b"  \r", rows[1], b"nonsense")
    batch = read_seeds(path)
    assert batch.seeds["seed_id"].to_list() == ["a", "b"]
    assert batch.quarantine["row_idx"].to_list() == [4]  # the line, blank ones counted


def test_splitting_is_passed_on(write: Write):
    seed = first(read_seeds(write({**GOOD, "thought": "One. Two.\nThree."}), splitting="sentences"))
    assert seed["steps"] == ["One. ", "Two.\n", "Three."]


# --- thoughts with markup ---------------------------------------------------------------------


def test_tags_in_a_thought_give_its_steps_and_factors(write: Write):
    steps = (Step("plan <Think_End>", Factor.PLAN), Step("2+3=5", Factor.COMPUTE))
    seed = first(read_seeds(write({**GOOD, "thought": render_thought(steps) + "Remark."})))
    assert "".join(seed["steps"]) == seed["thought"]
    assert seed["factors"] == ["Plan", "Compute", "Other"]
    trace = seed_trace(seed)
    assert [(s.text, s.factor) for s in trace.steps[:2]] == [(s.text, s.factor) for s in steps]
    assert {step.provenance for step in trace.steps} == {"human"}
    assert (trace.question, trace.answer) == (GOOD["question"], "5")


# --- quarantine -------------------------------------------------------------------------------

ROW_REFUSALS: list[tuple[str, bytes, str]] = [
    ("not UTF-8", b'{"question": "\xff"}', "byte 0xff at position 14 is not UTF-8; save the file"),
    ("UTF-16", "{}".encode("utf-16"), "not UTF-8"),
    ("invalid JSON", b'{"question": }', "not JSON: Expecting value at column 14, where it reads"),
    ("trailing garbage", b'{"a": 1} {"b": 2}', "goes on with '{\"b\": 2}'; write one object"),
    ("no object", b'["question"]', "'[\"question\"]', which is no JSON object; write one"),
    ("NaN", b'{"answer": NaN}', "NaN is not JSON; use null or a number"),
    ("endless integer", b'{"answer": ' + b"9" * 5000 + b"}", "a number that cannot be read"),
    ("deep nesting", b"[" * 100_000, "nested too deeply to read; flatten it"),
    ("raw NUL", b'{"question": "\0"}', "not JSON: Invalid control character"),
]


@pytest.mark.parametrize(
    "line, reason", [c[1:] for c in ROW_REFUSALS], ids=[c[0] for c in ROW_REFUSALS]
)
def test_a_line_that_is_no_row_is_refused_and_the_next_is_read(
    write: Write, line: bytes, reason: str
):
    refusal = only_refusal(read_seeds(write(line, GOOD)))
    assert reason in refusal["reason"]
    assert (refusal["field"], refusal["row_idx"], refusal["seed_id"]) == ("", 0, None)
    assert refusal["preview"].isprintable()
    assert 0 < len(refusal["preview"]) <= 200


FIELD_REFUSALS: list[tuple[str, dict[str, Any], str, str]] = [
    ("no question", {"question": None}, "question", "question is missing (the row has: "),
    ("empty question", {"question": " \n"}, "question", "question is ' \\\\n'; write it, or drop"),
    ("wrong type", {"question": ["a"]}, "question", "question is ['a'], of type list; write it as"),
    ("empty thought", {"thought": ""}, "thought", "thought is ''; write it, or drop the row"),
    ("no thought", {"thought": None}, "thought", "mapping={'thought': <column>}"),
    (
        "thought too long",
        {"thought": "ab" * 2**20},
        "thought",
        "2097152 characters, the limit is 2",
    ),
    ("thought is no text", {"thought": {"a": 1}}, "thought", "of type dict; write it as text"),
    ("broken tags", {"thought": "<ACT_Plan-Start>x"}, "thought", "add <ACT_Plan-End>"),
    ("unknown tag", {"thought": "<ACT_Pla-Start>x"}, "thought", "names no known factor; use one"),
    ("no answer", {"answer": None}, "answer", "answer is missing"),
    ("empty answer", {"answer": "  "}, "answer", "answer is '  '; write it"),
    ("answer is a truth value", {"answer": True}, "answer", "answer is True, of type bool; write"),
    ("answer is infinite", {"answer": 1e999}, "", "Infinity is not JSON"),
    ("NUL", {"thought": "ab\0c"}, "thought", "the control character U+0000 at character 2; remove"),
    ("escape", {"answer": "\x1b[0m"}, "answer", "the control character U+001B at character 0"),
    ("surrogate", {"question": "a\ud800"}, "question", "the lone surrogate U+D800 at character 1"),
    ("surrogate in meta", {"extra": "\ud800"}, "meta", "holds a lone surrogate; remove"),
    ("verifier", {"verifier": "maths"}, "verifier", "'maths'; use one of math, exact, choice, num"),
    ("domain", {"domain": "Algebra"}, "domain", "use one of math, code, general, or leave the col"),
    ("domain type", {"domain": 3}, "domain", "domain is '3'; use one of math"),
    ("id type", {"seed_id": 1.5}, "seed_id", "seed_id is 1.5, of type float; write it as text"),
    ("empty id", {"seed_id": ""}, "seed_id", "seed_id is ''; write it"),
    ("licence type", {"license": 4}, "license", "license is 4, of type int; write it as text"),
    ("source type", {"source": []}, "source", "source is [], of type list; write it as text"),
    ("meta type", {"meta": [1]}, "meta", "meta is '[1]'; write it as a JSON object"),
    ("meta text", {"meta": "{"}, "meta", "meta is '{'; write it as a JSON object"),
    ("meta clash", {"meta": {"x": 1}, "x": 2}, "meta", "'x' is a key of meta and a field of the"),
]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [c[1:] for c in FIELD_REFUSALS],
    ids=[c[0] for c in FIELD_REFUSALS],
)
def test_a_field_that_cannot_be_used_is_refused_with_the_value_and_the_fix(
    write: Write, fields: dict[str, Any], field: str, reason: str
):
    row = {**GOOD, "seed_id": "bad", **fields}
    refusal = only_refusal(read_seeds(write(GOOD, row)))
    assert (refusal["field"], refusal["row_idx"], refusal["source"]) == (field, 1, "seeds.jsonl")
    assert reason in refusal["reason"]
    assert refusal["seed_id"] == (None if field in ("seed_id", "") else "bad")
    assert refusal["preview"].isprintable()
    assert len(refusal["preview"]) <= 200


def test_an_overlong_line_is_refused_without_its_neighbours(
    write: Write, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 100)
    rows = [{**GOOD, "seed_id": "a"}, b"x" * 1000, b"y" * 350, {**GOOD, "seed_id": "b"}]
    batch = read_seeds(write(*rows))
    assert batch.seeds["seed_id"].to_list() == ["a", "b"]
    assert batch.quarantine["row_idx"].to_list() == [1, 2]
    assert "longer than 100 bytes" in batch.quarantine["reason"][0]


def test_the_limit_on_length_can_be_set(write: Write):
    batch = read_seeds(
        write({**GOOD, "thought": "x" * 11}, {**GOOD, "thought": "y" * 10}), max_chars=12
    )
    assert batch.seeds["thought"].to_list() == ["x" * 11]


def test_second_and_later_rows_of_an_id_are_refused(write: Write):
    rows = [{**GOOD, "seed_id": "a", "thought": ""}, *[{**GOOD, "seed_id": "a"}] * 3, GOOD, GOOD]
    batch = read_seeds(write(*rows))
    assert batch.seeds.height == 2  # the row without a thought does not use up its id
    assert batch.quarantine["row_idx"].to_list() == [0, 2, 3, 5]
    assert "seed_id 'a' was used by row 1 already" in batch.quarantine["reason"][1]
    assert batch.quarantine["seed_id"][3] == batch.seeds["seed_id"][1]


def test_a_file_without_any_usable_row_is_an_error_that_counts_the_reasons(write: Write):
    path = write(b"bad", b"worse", {"question": "q", "answer": 1})
    with pytest.raises(SeedError) as error:
        read_seeds(path)
    message = str(error.value)
    assert f"{str(path)!r}: none of 3 rows is usable" in message
    assert "(2 × row: invalid JSON, 1 × thought: missing); row 0: the line is not JSON" in message


@pytest.mark.parametrize(
    ("name", "content", "format", "message"),
    [
        ("seeds.jsonl", b"", "auto", "is empty; write at least one row"),
        ("seeds.jsonl", b"\n \n", "auto", "holds no row; write at least one"),
        ("seeds.csv", b"a,b", "auto", "the suffix '.csv' does not say what it is; pass format="),
        ("seeds.parquet", b"no parquet", "auto", "cannot be read as Parquet"),
        ("seeds.txt", b"x", "hf", "reads files that end in .parquet, .json"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, format: Any, message: str
):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SeedError) as error:
        read_seeds(path, format=format)
    assert str(path) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("ref", ["no/such/file.jsonl", "nothing", "no/seeds.parquet"])
def test_a_missing_file_is_named_with_what_to_do(ref: str):
    with pytest.raises(SeedError, match=rf"'{ref}' does not exist .* give the path of a seed file"):
        read_seeds(ref)


def test_a_folder_needs_the_format_of_a_dataset(tmp_path: Path):
    with pytest.raises(SeedError, match="is a folder; name a file, or pass format='hf'"):
        read_seeds(tmp_path, format="jsonl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "csv"}, r"format='csv' is unknown; use one of auto, jsonl, parquet, gsm8k, hf"),
        ({"mapping": {"solution": "thought"}}, r"mapping names 'solution', which is no seed field"),
        ({"domain": "maths"}, r"domain='maths' is unknown; use one of math, code, general"),
        ({"verifier": "regex"}, r"verifier='regex' is unknown; use one of math, exact"),
        ({"splitting": "words"}, r"splitting='words' is unknown; use one of auto, markup"),
        ({"limit": 0}, r"limit=0 must be at least 1"),
        ({"max_chars": 0}, r"max_chars=0 must be at least 1"),
        ({"hf_split": "test"}, r"hf_split='test' is for Hugging Face datasets"),
    ],
)
def test_an_option_out_of_range_is_named(write: Write, options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        read_seeds(write(GOOD), **options)


# --- Parquet ----------------------------------------------------------------------------------


def test_parquet_reads_like_json_lines(tmp_path: Path, write: Write):
    path = tmp_path / "seeds.parquet"
    rows = [{**GOOD, "seed_id": "a", "n": 1}, {**GOOD, "seed_id": "b", "n": 2}]
    pl.DataFrame(rows).write_parquet(path)
    assert read_seeds(path, source="s").seeds.equals(read_seeds(write(*rows), source="s").seeds)


def test_parquet_of_the_seeds_table_itself_reads_back(tmp_path: Path, write: Write):
    path = tmp_path / "seeds.parquet"
    seeds = read_seeds(write(GOOD)).seeds
    seeds.drop("steps", "factors", "facts", "criteria").write_parquet(path)
    assert read_seeds(path).seeds.equals(seeds)


def test_parquet_types_without_json_are_put_into_words_in_meta(tmp_path: Path):
    path = tmp_path / "seeds.parquet"
    extra = {"day": date(2024, 5, 1), "blob": b"ab", "x": float("nan"), "answer": Decimal("1.50")}
    pl.DataFrame([{**GOOD, **extra}]).write_parquet(path)
    seed = first(read_seeds(path))
    assert json.loads(seed["meta"]) == {"day": "2024-05-01", "blob": "<2 bytes>", "x": None}
    assert seed["answer"] == "1.50"


def test_parquet_with_a_column_of_the_wrong_type_says_so(tmp_path: Path):
    path = tmp_path / "seeds.parquet"
    pl.DataFrame([{**GOOD, "question": 5}] * 3).write_parquet(path)
    with pytest.raises(
        SeedError, match=r"3 × question: wrong type\); row 0: question is 5, of type"
    ):
        read_seeds(path)


def test_parquet_without_a_required_column_says_what_it_has(tmp_path: Path):
    path = tmp_path / "seeds.parquet"
    pl.DataFrame([{"problem": "q", "thought": "t", "answer": "a"}]).write_parquet(path)
    with pytest.raises(
        SeedError, match=r"no column 'question' \(its columns: problem, thought, an"
    ):
        read_seeds(path)
    assert read_seeds(path, mapping={"question": "problem"}).seeds.height == 1


def test_parquet_without_rows_says_so(tmp_path: Path):
    path = tmp_path / "seeds.parquet"
    pl.DataFrame(schema={"question": pl.String}).write_parquet(path)
    with pytest.raises(SeedError, match="holds no row"):
        read_seeds(path)


def test_a_parquet_row_that_is_not_utf8_is_refused_alone(tmp_path: Path):
    path = tmp_path / "seeds.parquet"
    raw = pa.array([b"one", b"t\xffwo", b"three"], pa.binary())
    table = pa.table({"question": raw, "thought": ["t"] * 3, "answer": [1, 2, 3]})
    table = table.set_column(0, "question", raw.view(pa.string()))
    pq.write_table(table, path)
    batch = read_seeds(path)
    assert batch.seeds["question"].to_list() == ["one", "three"]
    assert batch.quarantine.select("row_idx", "preview").row(0) == (1, "t\\xffwo")


# --- GSM8K ------------------------------------------------------------------------------------

GSM8K = {
    "question": "How many?",
    "answer": "First 2+3=<<2+3=5>>5.\nNo sum here.\n"
    "Then $<<5*2=11>>11, <<1+1=2>>2 <<x>>.\n#### 1,011",
}


@pytest.mark.parametrize("format", ["auto", "gsm8k"])
def test_gsm8k_annotations_leave_the_text_and_become_facts(write: Write, format: Any):
    seed = first(read_seeds(write(GSM8K), format=format))
    assert seed["steps"] == ["First 2+3=5.\n", "No sum here.\n", "Then $11, 2 ."]
    assert seed["factors"] == ["Compute", "Other", "Compute"]
    assert [tuple(fact.values()) for fact in seed["facts"]] == [
        (0, "2+3", "5"),
        (2, "5*2", "11"),  # false, and kept: a person wrote it
        (2, "1+1", "2"),
        (2, "x", ""),
    ]
    assert (seed["answer"], seed["license"], seed["verifier"]) == ("1011", "MIT", "numeric")


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("1,000", "1000"), ("-1,234,567.5", "-1234567.5"), ("1,2", "1,2"), ("(1,000,2)", "(1000,2)")],
)
def test_gsm8k_thousands_separators_are_taken_out(write: Write, gold: str, answer: str):
    path = write({"question": "q", "answer": f"t\n#### {gold}"})
    assert first(read_seeds(path))["answer"] == answer


@pytest.mark.parametrize(
    ("answer", "field", "reason"),
    [
        ("no mark", "answer", "no '####' line; GSM8K ends each solution with '#### <answer>'"),
        ("text\n#### ", "answer", "answer is ''; write it"),
        ("#### 5", "thought", "thought is ''; write it"),
        (5, "answer", "answer is 5; GSM8K keeps the solution there, as text"),
        (None, "answer", "answer is None; GSM8K keeps"),
    ],
)
def test_gsm8k_rows_of_another_shape_are_refused(
    write: Write, answer: object, field: str, reason: str
):
    refusal = only_refusal(read_seeds(write(GSM8K, {"question": "q", "answer": answer})))
    assert refusal["field"] == field
    assert reason in refusal["reason"]


def shared(name: str) -> Path:
    """A file of real data, looked for beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("DATAGEN_SHARED_DATA", beside)) / name
    if not path.exists():
        pytest.skip(f"real data {name} is neither in DATAGEN_SHARED_DATA nor beside the checkout")
    return path


def test_all_real_gsm8k_rows_are_read_with_all_their_facts():
    path = shared("gsm8k_train_500.jsonl")
    raw = path.read_text(encoding="utf-8")
    batch = read_seeds(path)
    assert batch.quarantine.is_empty()
    assert batch.seeds.height == 500
    facts = batch.seeds["facts"].explode(empty_as_null=False).struct.unnest()
    assert facts.height == raw.count("<<") == 1639
    assert not facts.filter(pl.any_horizontal(pl.col("expression", "value") == "")).height
    assert not batch.seeds["thought"].str.contains("<<|>>|####").any()
    assert batch.seeds["answer"].str.contains(r"^-?\d+(\.\d+)?$").all()


def test_each_fact_of_real_gsm8k_rows_belongs_to_the_step_that_states_it():
    path = shared("gsm8k_train_500.jsonl")
    solutions = [json.loads(line)["answer"] for line in path.read_bytes().splitlines()]
    expected = [
        [
            (step_idx, *annotation)
            for step_idx, line in enumerate(filter(str.strip, solution.splitlines()))
            for annotation in re.findall(r"<<([^=]*)=([^>]*)>>", line)
        ]
        for solution in solutions
    ]
    seeds = read_seeds(path, splitting="lines").seeds
    assert [[tuple(f.values()) for f in facts] for facts in seeds["facts"]] == expected


# --- Hugging Face -----------------------------------------------------------------------------


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "maths"
    for split, n in (("train", 3), ("test", 2)):
        rows = [
            {"problem": f"{split} {i}?", "solution": "a\nb", "answer": i, "level": "hard"}
            for i in range(n)
        ]
        (folder / "algebra").mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows).write_parquet(folder / "algebra" / f"{split}.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: algebra\n  data_files:\n"
        "  - split: train\n    path: algebra/train.parquet\n"
        "  - split: test\n    path: algebra/test.parquet\n---\n"
    )
    return folder


MAPPING = {"question": "problem", "thought": "solution"}


def test_a_local_dataset_folder_is_read_by_mapping(dataset_folder: Path):
    batch = read_seeds(dataset_folder, mapping=MAPPING, license="MIT")
    assert batch.seeds["question"].to_list() == ["train 0?", "train 1?", "train 2?"]
    seed = first(batch)
    assert (seed["source"], seed["license"], seed["answer"]) == ("maths", "MIT", "0")
    assert seed["meta"] == '{"level": "hard"}'


def test_config_and_split_of_a_dataset_can_be_named(dataset_folder: Path):
    batch = read_seeds(f"{dataset_folder}:algebra", mapping=MAPPING, hf_split="test")
    assert batch.seeds["question"].to_list() == ["test 0?", "test 1?"]
    assert first(batch)["source"] == "maths:algebra"


def test_a_local_parquet_file_is_read_by_the_dataset_reader_too(dataset_folder: Path):
    path = dataset_folder / "algebra" / "test.parquet"
    batch = read_seeds(path, format="hf", mapping=MAPPING, limit=1)
    assert batch.seeds["question"].to_list() == ["test 0?"]


def test_a_dataset_without_the_columns_says_which_it_has(dataset_folder: Path):
    with pytest.raises(SeedError, match=r"no column 'question', 'thought' \(its columns: problem"):
        read_seeds(dataset_folder)


def test_a_dataset_without_the_split_says_which_it_has(dataset_folder: Path):
    with pytest.raises(SeedError, match="no split 'dev'; pass hf_split= one of train, test"):
        read_seeds(dataset_folder, mapping=MAPPING, hf_split="dev")


def test_a_dataset_with_an_unknown_config_is_named(dataset_folder: Path):
    with pytest.raises(SeedError, match=r"maths:geometry' cannot be loaded as a Hugging Face data"):
        read_seeds(f"{dataset_folder}:geometry", mapping=MAPPING)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Stands in for the Hub: notes what is asked for and gives one split of GSM8K rows."""
    import datasets

    calls: list[dict[str, Any]] = []

    def load_dataset(path: str, **options: Any) -> Any:
        calls.append({"path": path, **options})
        if "down" in path:
            raise ConnectionError("no route")
        rows = datasets.IterableDataset.from_generator(lambda: iter([GSM8K]))
        return datasets.IterableDatasetDict({"main": rows})

    monkeypatch.setattr(sys.modules["datasets"], "load_dataset", load_dataset)
    yield calls


def test_a_hub_reference_names_dataset_config_and_revision(hub: list[dict[str, Any]]):
    batch = read_seeds("openai/gsm8k:main@refs/pr/1")
    assert hub == [
        {"path": "openai/gsm8k", "name": "main", "revision": "refs/pr/1", "streaming": True}
    ]
    seed = first(batch)
    assert (seed["source"], seed["answer"]) == ("openai/gsm8k:main", "1011")
    assert len(seed["facts"]) == 4


@pytest.mark.usefixtures("hub")
def test_a_hub_that_cannot_be_reached_is_named_with_what_to_check():
    with pytest.raises(SeedError, match=r"'org/down' cannot be loaded .*ConnectionError: no route"):
        read_seeds("org/down")


# --- rubrics ----------------------------------------------------------------------------------

OPEN = {**GOOD, "question": "Explain why the sky is blue.", "answer": "Rayleigh scattering."}


def test_a_rubric_is_read_from_sentences_and_weighted_criteria(write: Write):
    rubric = ["Names scattering. ", {"criterion": "Is short.", "weight": 3}]
    seed = first(read_seeds(write({**OPEN, "rubric": rubric})))
    assert seed["verifier"] == "rubric"
    assert seed["criteria"] == [
        {"criterion": "Names scattering.", "weight": 1.0},
        {"criterion": "Is short.", "weight": 3.0},
    ]
    assert seed["meta"] == "{}"


def test_a_rubric_wins_over_the_verifier_of_the_source_and_other_rows_keep_it(write: Write):
    batch = read_seeds(write({**OPEN, "rubric": ["Is short."]}, GOOD), verifier="numeric")
    assert batch.seeds["verifier"].to_list() == ["rubric", "numeric"]
    assert batch.seeds["criteria"].is_null().to_list() == [False, True]


def test_a_rubric_column_can_be_renamed_or_left_out(write: Write):
    path = write({**OPEN, "marks": ["Is short."], "rubric": "A to F"})
    seed = first(read_seeds(path, mapping={"rubric": "marks"}))
    assert seed["criteria"] == [{"criterion": "Is short.", "weight": 1.0}]
    assert first(read_seeds(path, mapping={"rubric": ""}))["verifier"] == "math"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rubric": "be short"}, "rubric is 'be short'; write a list"),
        ({"rubric": []}, "rubric is '[]'; write a list"),
        ({"rubric": [7]}, "'7' in rubric; write a list"),
        ({"rubric": [{"criterion": "a", "points": 1}]}, "points"),
        ({"rubric": [{"weight": 1}]}, "criterion is missing"),
        ({"rubric": ["a", " "]}, "criterion is ' '"),
        ({"rubric": ["\x00"]}, "control character"),
        ({"rubric": [{"criterion": "a", "weight": 0}]}, "'0' is the weight"),
        ({"rubric": [{"criterion": "a", "weight": True}]}, "'True' is the weight"),
        ({"rubric": ["a"], "verifier": "numeric"}, "the verifier 'numeric'; remove one"),
        ({"verifier": "rubric"}, "there is no rubric; write a list"),
    ],
)
def test_a_rubric_that_cannot_be_used_is_refused(write: Write, change: dict[str, Any], reason: str):
    batch = read_seeds(write(GOOD, {**OPEN, **change}))
    assert batch.seeds.height == 1
    assert reason in batch.quarantine["reason"][0]
