"""The labelled steps: enough of them, of all kinds, and training never sees what measures."""

import json
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import ConfigError
from datagen.factors.labelled import STEPS, Labelled, read_labelled
from datagen.factors.taxonomy import OWN_FACTORS, Factor

BUILT_IN = [factor for factor in Factor if factor.value not in {own.name for own in OWN_FACTORS}]


@pytest.fixture(scope="module")
def documents() -> list[Labelled]:
    return read_labelled()


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "own.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def row(doc_id: str = "a", **changes: Any) -> dict[str, Any]:
    steps = [["Compute", "3 * 6 = 18"], ["Answer", "18"]]
    return {"doc_id": doc_id, "style": "own", "question": "3 * 6?", "steps": steps, **changes}


# ---- what is shipped


def test_more_than_600_steps_were_labelled_twice_and_the_labels_mostly_agree(
    documents: list[Labelled],
) -> None:
    pairs = [
        (step.factor, second)
        for doc in documents
        for step, second in zip(doc.trace.steps, doc.second, strict=bool(doc.second))
    ]
    assert len(pairs) >= 600
    assert sum(first is second for first, second in pairs) / len(pairs) > 0.9


@pytest.mark.parametrize("held_out", [False, True])
def test_every_factor_and_style_is_both_in_training_and_held_out(
    documents: list[Labelled], held_out: bool
) -> None:
    of_kind = [doc for doc in documents if doc.held_out is held_out]
    assert {step.factor for doc in of_kind for step in doc.trace.steps} == set(BUILT_IN)
    assert {doc.style for doc in of_kind} == {doc.style for doc in documents}
    assert len({doc.style for doc in documents}) >= 6


def test_no_text_is_both_in_training_and_held_out(documents: list[Labelled]) -> None:
    known, unseen = (
        {
            " ".join(text.lower().split())
            for doc in documents
            if doc.held_out is held_out
            for text in (doc.trace.question, *(step.text for step in doc.trace.steps))
        }
        for held_out in (False, True)
    )
    assert len(unseen) > 600
    assert known & unseen == set()


def test_the_guidelines_tell_each_factor_from_the_one_it_is_mistaken_for() -> None:
    rules = (STEPS / "GUIDELINES.md").read_text(encoding="utf-8").split("\n\n")
    for factor in BUILT_IN:
        pair = (factor.value, factor.counter_factor.value)
        assert any(all(name in rule for name in pair) for rule in rules), pair


# ---- files of one's own


def test_every_fourth_document_of_a_file_is_held_out_and_one_more_moves_none(
    tmp_path: Path,
) -> None:
    rows = [row(f"d{idx}") for idx in range(9)]
    before = read_labelled([written(tmp_path, *rows[:8])])
    after = read_labelled([written(tmp_path, *rows)])
    assert [doc.doc_id for doc in before if doc.held_out] == ["d3", "d7"]
    assert after[:8] == before


def test_a_text_may_hold_any_character(tmp_path: Path) -> None:
    text = "one\u2028two\x0cthree\r\n\x85"
    (doc,) = read_labelled([written(tmp_path, row(question=text))])
    assert doc.trace.question == text


def test_without_files_nothing_is_read() -> None:
    assert read_labelled([]) == []


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        '"a"',
        {"doc_id": "a"},
        row(steps=[]),
        row(steps=[["Compute"]]),
        row(steps=[["Guess", "18"]]),
        row(steps=[["Compute", 18]]),
        row(question=None),
        {**row(), "doc_id": 7},
        row(second=["Compute"]),
        row(second=["Compute", "Guess"]),
    ],
)
def test_a_line_that_is_no_document_is_refused_with_its_number_and_the_form(
    tmp_path: Path, bad: Any
) -> None:
    path = written(tmp_path, row("first"), "", bad)
    with pytest.raises(ConfigError, match=r"own\.jsonl' line 3: .*a list of \[factor, text\]"):
        read_labelled([path])


def test_a_document_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"doc_id='a' occurs twice; give each"):
        read_labelled([written(tmp_path, row(), row())])


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "own.jsonl", tmp_path / "missing.jsonl"):
        with pytest.raises(ConfigError, match=f"cannot read labelled steps from '{path}'"):
            read_labelled([path])
