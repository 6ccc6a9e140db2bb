"""What a run leaves for the terminal: its closing summary, and the tables to draw from."""

from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from assets.commands.console import RunDisplay, load_tables, summary
from assets.parquet_io import CONTRACT_OF
from datagen.config import Settings
from datagen.errors import ConfigError
from schemas import CodeSeed, CodeTask, CodeThought, Execution, Preference

Row = dict[str, Any]

SEED: Row = {
    "seed_id": "c1",
    "source": "toy",
    "license": "MIT",
    "question": "Write one.",
    "code": "def one():\n    return 1",
    "entry_point": "one",
    "tests": "assert one() == 1",
    "prelude": "",
    "calls": ["one()"],
    "meta": "{}",
}
RUN: Row = {
    "seed_id": "c1",
    "call": "one()",
    "returned": "1",
    "raised": None,
    "complete": True,
    "n_moments": 1,
    "run": "one()\none() returns 1\n",
    "record": "{}",
}


def task(kind: str) -> Row:
    fixed = {name: SEED[name] for name in ("seed_id", "source", "license", "question")}
    over = {"answer": "1", "gold": "1", "verifier": "python_output", "steps": [], "factors": []}
    return {**fixed, **over, "task_id": f"c1/{kind}", "kind": kind}


def thought(thought_id: str, attempt: int, thought_idx: int, *, verified: bool) -> Row:
    claim = {"step_idx": 0, "kind": "returns", "text": "one() returns 2", "subject": "one()"}
    verdict = {"value": "2", "verdict": "contradicted", "actual": "1"}
    return {
        "thought_id": thought_id,
        "seed_id": "c1",
        "route": "model",
        "thought_idx": thought_idx,
        "attempt": attempt,
        "question": SEED["question"],
        "code": SEED["code"],
        "steps": ["one() returns 2"],
        "factors": ["CheckResult"],
        "step_checks": ["uncheckable" if verified else "contradicted"],
        "claims": [] if verified else [claim | verdict],
        "first_error": -1 if verified else 0,
        "n_round_trips": 0,
        "n_passed": 0,
        "n_bare": 0,
        "n_bare_passed": 0,
        "verified": verified,
        "reasons": [] if verified else ["one() is 1, not 2"],
        "n_tokens": 3,
    }


ABOUT_CODE = {
    "code_seeds": CodeSeed.from_rows([SEED]),
    "executions": Execution.from_rows([RUN]),
    "code_tasks": CodeTask.from_rows([task("program"), task("output")]),
    "code_thoughts": CodeThought.from_rows(
        [
            thought("k1", 0, 0, verified=False),
            thought("k2", 1, 0, verified=True),
            thought("k3", 0, 1, verified=False),
        ]
    ),
}


def write(out: Path, tables: dict[str, pl.DataFrame]) -> Path:
    (out / "tables").mkdir()
    for name, frame in tables.items():
        frame.write_parquet(out / "tables" / f"{name}.parquet")
    return out


def summarised(out: Path, tables: dict[str, pl.DataFrame]) -> str:
    """The summary of a run in which all tables but these are empty."""
    empty = {name: contract.empty() for name, contract in CONTRACT_OF.items()}
    write(out, {**empty, **tables})
    console = Console(record=True, width=120, file=StringIO())
    console.print(summary(out, Settings(), RunDisplay(console)))
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def test_the_summary_of_a_run_with_code_says_how_its_thoughts_fared(tmp_path: Path) -> None:
    text = summarised(tmp_path, ABOUT_CODE)
    for name, figure, note in (
        ("code seeds", 1, "recorded runs: 1"),
        ("code tasks", 2, "1 program, 1 output"),
        ("code thoughts", 2, "50.0% verified; contradicted claims in verified thoughts: 0"),
        ("dataset code_thoughts", 3, "rows"),
    ):
        line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        assert line.removeprefix(name).split() == [str(figure), *note.split()]


def test_the_summary_counts_contradicted_claims_in_verified_thoughts(tmp_path: Path) -> None:
    claims = ABOUT_CODE["code_thoughts"]["claims"][0].to_list()
    wrongly_verified = thought("k1", 0, 0, verified=True) | {"claims": claims}
    thoughts = CodeThought.from_rows([wrongly_verified])
    text = summarised(tmp_path, {**ABOUT_CODE, "code_thoughts": thoughts})
    assert "100.0% verified; contradicted claims in verified thoughts: 1" in text


def test_the_summary_of_a_run_without_code_does_not_mention_it(tmp_path: Path) -> None:
    assert "code" not in summarised(tmp_path, {})


def test_the_summary_of_programs_without_a_thought_names_no_share(tmp_path: Path) -> None:
    text = summarised(tmp_path, {"code_seeds": ABOUT_CODE["code_seeds"]})
    assert "contradicted claims in verified thoughts: 0" in text
    assert "% verified" not in text


def test_the_summary_names_a_dataset_of_the_search_only_where_it_has_rows(tmp_path: Path) -> None:
    pair: Row = {
        "seed_id": "s1",
        "prompt": [{"role": "user", "content": "2+3?"}],
        "chosen": [{"role": "assistant", "content": "5"}],
        "rejected": [{"role": "assistant", "content": "6"}],
    }
    pairs = Preference.from_rows([pair | {"id": "t1:t2"}, pair | {"id": "t1:t3"}])
    lines = [line.split() for line in summarised(tmp_path, {"preference": pairs}).splitlines()]
    assert ["dataset", "preference", "2", "rows"] in lines
    assert not [line for line in lines if line[:2] == ["dataset", "kto"]]


def test_programs_can_be_drawn_before_anything_was_searched(tmp_path: Path) -> None:
    tables = load_tables(write(tmp_path, ABOUT_CODE))
    assert tables.prefixes.is_empty() and tables.nodes.is_empty() and tables.rollouts.is_empty()
    for name, frame in ABOUT_CODE.items():
        assert getattr(tables, name).equals(frame)


@pytest.mark.parametrize("tables", [{}, {"code_seeds": CodeSeed.empty()}])
def test_without_a_search_or_programs_there_is_nothing_to_draw(
    tables: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"prefixes\.parquet'; make it with `datagen run"):
        load_tables(write(tmp_path, tables))


def test_a_search_without_any_table_about_code_can_be_drawn(tmp_path: Path) -> None:
    names = ("prefixes", "nodes", "rollouts")
    tables = load_tables(write(tmp_path, {name: CONTRACT_OF[name].empty() for name in names}))
    assert tables.code_seeds is None and tables.code_thoughts is None
