"""The curation benchmark: what it plants is what it says, and its figures are those of the run."""

import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from assets.bench.curate import run_curate_bench
from datagen.bench import curation
from datagen.bench.curation import COPIES, LEAKS, SAID_TWICE, Plan, bench_curation
from datagen.bench.curation_data import Planted, make_tables
from datagen.bench.curation_run import CurationRun
from datagen.bench.curation_texts import DISGUISES, EDITS
from datagen.errors import ConfigError
from schemas import Rejection

BENCHMARK = [
    f"Which of the {n} towers, if any, is taller than Tom's house: why?" for n in range(12)
]
INNOCENT = ["How far is the moon, in miles?", "Who sang first, Ann or Bob?"]
NUMBER = r"\d+|\b(?:one|two|three|half)\b"
SIZES: dict[str, Any] = {"n_questions": 80, "n_planted": 12}


@pytest.fixture(scope="module")
def world() -> tuple[dict[str, pl.DataFrame], Planted]:
    return make_tables(**SIZES, benchmark=BENCHMARK, innocent=INNOCENT, seed=3)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def alike(one: str, other: str) -> float:
    """Jaccard similarity of the words and pairs of words."""
    first, second = (
        {*listed, *itertools.pairwise(listed)} for listed in (words(one), words(other))
    )
    return len(first & second) / len(first | second)


def asked(tables: dict[str, pl.DataFrame]) -> dict[str, str]:
    return dict(tables["seeds"].select("seed_id", "question").iter_rows())


def said(tables: dict[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    return {row["trace_id"]: row for row in tables["traces"].iter_rows(named=True)}


def test_leaks_are_questions_of_the_benchmark_in_disguise(
    world: tuple[dict[str, pl.DataFrame], Planted],
) -> None:
    tables, planted = world
    question = asked(tables)
    assert tuple(planted.leaks) == DISGUISES
    sources: list[str] = []
    for disguise, own in planted.leaks.items():
        assert len(own) == 3
        for (seed_id,) in own:
            [source] = [
                text
                for text in BENCHMARK
                if " ".join(words(text.replace("'", "")))
                in " ".join(words(re.sub("['’]", "", question[seed_id])))
            ]
            sources.append(source)
            found = question[seed_id]
            assert (found == source) == (disguise == "verbatim")
            assert (found.lower() == source.lower()) == (disguise in ("verbatim", "cased"))
            assert (source in found) == (disguise in ("verbatim", "embedded"))
    assert len(set(sources)) == 12


def test_near_duplicates_keep_the_numbers_and_most_words(
    world: tuple[dict[str, pl.DataFrame], Planted],
) -> None:
    tables, planted = world
    question, trace = asked(tables), said(tables)
    texts = {name: "\n".join(row["steps"]) for name, row in trace.items()}
    for kinds, text in ((planted.questions, question), (planted.traces, texts)):
        assert tuple(kinds) == EDITS
        assert [len(own) for own in kinds.values()] == [3] * 4
        for edit, own in kinds.items():
            for first, copy in own:
                one, other = text[first], text[copy]
                assert one != other and alike(one, other) > 0.7
                assert sorted(re.findall(NUMBER, one)) == sorted(re.findall(NUMBER, other))
                more = len(words(other)) - len(words(one))
                low, high = {"dropped": (-1, -1), "filler": (1, 3)}.get(edit, (0, 0))
                assert low <= more <= high
                assert (sorted(words(one)) == sorted(words(other))) == (edit == "swapped")
    for own in planted.traces.values():
        for first, copy in own:
            for column in ("seed_id", "answer", "outcome"):
                assert trace[first][column] == trace[copy][column]


def test_what_is_not_planted_is_not_alike(
    world: tuple[dict[str, pl.DataFrame], Planted],
) -> None:
    tables, planted = world
    texts = [text for name, text in asked(tables).items() if name.startswith("bench-")]
    made_up = texts[len(INNOCENT) :]
    assert texts[: len(INNOCENT)] == INNOCENT and len(planted.innocent) == len(INNOCENT)
    assert max(alike(a, b) for i, a in enumerate(made_up) for b in made_up[:i]) < 0.6
    lengths = sorted(len(words(text)) for text in made_up)
    assert lengths[2] >= 30 and lengths[len(lengths) // 2] <= 60
    copies = {copy for own in planted.traces.values() for _, copy in own}
    by_question: dict[str, list[str]] = {}
    for name, row in said(tables).items():
        if name not in copies:
            by_question.setdefault(row["seed_id"], []).append("\n".join(row["steps"]))
    assert all(
        alike(a, b) < 0.9
        for own in by_question.values()
        for i, a in enumerate(own)
        for b in own[:i]
    )


def test_every_question_has_eight_traces_and_the_labels_are_true(
    world: tuple[dict[str, pl.DataFrame], Planted],
) -> None:
    tables, _ = world
    traces = said(tables)
    counts = tables["traces"].group_by("seed_id").len()["len"]
    assert len(counts) == 80 and set(counts) == {8}
    outcomes = tables["traces"]["outcome"].value_counts()
    assert dict(outcomes.iter_rows()).keys() == {"correct", "wrong", "truncated"}
    labels = tables["trace_labels"]
    assert labels["first_error"].max() > 2 and (labels["first_error"] == -1).any()  # pyright: ignore
    for row in labels.iter_rows(named=True):
        sums = [
            re.search(r"(\d+) ([+-]) (\d+) = (\d+)", text)
            for text in traces[row["trace_id"]]["steps"]
        ]
        wrong = [
            k
            for k, found in enumerate(sums)
            if found and int(found[1]) + int(found[2] + found[3]) != int(found[4])
        ]
        assert wrong == ([row["first_error"]] if row["first_error"] >= 0 else [])
        assert (row["outcome"] == "wrong") == bool(wrong)


def test_equal_seeds_make_equal_tables(world: tuple[dict[str, pl.DataFrame], Planted]) -> None:
    tables, planted = world
    again, same = make_tables(**SIZES, benchmark=BENCHMARK, innocent=INNOCENT, seed=3)
    assert same == planted
    assert all(again[name].equals(table) for name, table in tables.items())
    other, _ = make_tables(**SIZES, benchmark=BENCHMARK, innocent=INNOCENT, seed=4)
    assert not other["seeds"].equals(tables["seeds"])


def test_figures_count_what_was_found() -> None:
    def rejection(id: str, rule: str, kind: str = "question") -> dict[str, Any]:
        return {"id": id, "rule": rule, "kind": kind, "seed_id": "s", "reason": "r", "preview": ""}

    rejected = Rejection.from_rows(
        [
            rejection("leak-0", "contaminated"),
            rejection("real-0", "contaminated"),
            rejection("made-0", "contaminated"),
            rejection("leak-1", "near_duplicate"),  # found, but not for what it is
            rejection("copy-0", "near_duplicate"),
            rejection("made-1", "duplicate"),
            rejection("t0", "duplicate", "trace"),
            rejection("t8", "near_duplicate", "trace"),
            rejection("t9", "length", "trace"),
        ]
    )
    planted = Planted(
        innocent=["real-0", "real-1"],
        leaks={"verbatim": [("leak-0",)], "cased": [("leak-1",)]},
        questions={"dropped": [("made-2", "copy-0")], "filler": [("made-3", "copy-1")]},
        traces={"dropped": [("t0", "t1")], "filler": [("t2", "t3")]},
    )
    run = CurationRun(seconds=5.0, peak_mb=300.0)
    found = curation.report(rejected, planted, {"question": 20, "trace": 10}, [(1, 6)], run)
    assert found.figures == {
        "rows": 10,
        "seconds": 5.0,
        "peak_mb": 300.0,
        "planted_found": 1 / 2,
        "false_positive_rate": 2 / 8,
        "duplicates_found": 2 / 4,
    }
    assert found.found[LEAKS] == {"verbatim": (1, 1), "cased": (0, 1)}
    assert found.found[COPIES] == {"dropped": (1, 1), "filler": (0, 1)}
    assert found.found[SAID_TWICE] == {"dropped": (1, 1), "filler": (0, 1)}
    # Made-up questions: 20 less two leaks and two real ones. Others: 20 less two pairs.
    assert list(found.accused.values()) == [(1, 16), (2, 16), (1, 6)]


def test_questions_can_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    rows = ["How many?", "how MANY", "", "Why not?"]
    path.write_text("".join(json.dumps({"question": text}) + "\n" for text in rows))
    assert curation.written_questions(path) == ["How many?", "Why not?"]
    with pytest.raises(ConfigError, match=r"asked.jsonl' has 2 different questions; 400 or more"):
        bench_curation(Plan(), note=lambda _: None, questions=path)


def test_the_shipped_questions_are_enough_for_the_whole_plan() -> None:
    found = curation.written_questions(None)
    assert len(found) >= 2 * Plan().n_planted and len(set(found)) == len(found)


@pytest.mark.slow
def test_a_small_run_goes_through_and_writes_its_figures(tmp_path: Path) -> None:
    path, screen = tmp_path / "new" / "f.json", io.StringIO()
    run_curate_bench(
        Console(file=screen, width=100),
        quick=True,
        json_path=path,
        questions=None,
        plan=Plan(n_rows=400, n_planted=8, n_halves=2),
    )
    figures = json.loads(path.read_text())
    assert list(figures) == [
        *("rows", "seconds", "peak_mb"),
        *("planted_found", "false_positive_rate", "duplicates_found"),
    ]
    assert figures["rows"] == 400
    assert 0 < figures["seconds"] < 120 and 100 < figures["peak_mb"] < 1500
    assert figures["planted_found"] == figures["duplicates_found"] == 1
    assert 0 <= figures["false_positive_rate"] < 0.05
    shown = screen.getvalue()
    for name in (*figures, *DISGUISES, *EDITS):
        assert name in shown
    # Every dataset that needs no model has rows.
    for name in ("sft", "prm_verified", "processbench", "critique", "kto", "policy_value"):
        assert re.search(rf"^{name} +[\d.]+ +[1-9]", shown, re.MULTILINE)
