"""Draw what there is about code: a program, the thoughts that lead to it, the tasks that it gives.

The run beside a program is of the one call that thoughts walk through. A claim may be about another
call, so the value that contradicts it need not stand in that run.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import polars as pl
from rich.console import RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from datagen.show.lookup import Tables, row_of
from datagen.show.program import asked, listing, rows_of_seed
from datagen.show.steps import StepLine, step_table
from datagen.show.styles import (
    Field,
    counted,
    field_table,
    mark,
    one_line,
    paragraph,
    short_id,
)

Row = Mapping[str, Any]

_LEGEND: Final = (
    "run: ✓ the run bears the step's claims out, ✗ it contradicts one, · there is nothing to "
    "compare; claims stand below their step"
)


def thought(tables: Tables, thought_id: str) -> Iterator[RenderableType]:
    """A thought beside the run that it speaks of, each of its claims with what the run says."""
    assert tables.code_thoughts is not None
    row = row_of(tables.code_thoughts, "thought_id", thought_id)
    yield from asked(tables, row)
    yield Text()
    title = f"thought {one_line(thought_id)}  by route {row['route']}, attempt {row['attempt']}"
    yield Rule(Text(title), align="left", style="dim")
    if row["steps"]:
        yield step_table(list(_checked_steps(row)), {"run": "left"})
    else:
        yield Text("no steps")
    yield Text()
    yield field_table([*_verdict(row), *_round_trips(row), *_origin(row)])
    if len(attempts := _attempts(tables.code_thoughts, row)) > 1:
        yield Text()
        yield _thought_lines(attempts, this=thought_id)
    if row["n_passed"] < row["n_round_trips"] and row["regenerated"] is not None:
        yield Text()
        yield listing("a program written from the thought", row["regenerated"])
    if row["steps"]:
        yield Text()
        yield Text(_LEGEND, style="dim")


def code_seed(tables: Tables, seed_id: str) -> Iterator[RenderableType]:
    """A program, its run, and every thought about it in a line."""
    assert tables.code_seeds is not None
    row = row_of(tables.code_seeds, "seed_id", seed_id)
    yield from asked(tables, row)
    yield Text()
    yield Rule(Text(f"code seed {one_line(seed_id)}"), align="left", style="dim")
    thoughts = rows_of_seed(tables.code_thoughts, seed_id)
    yield _thought_lines(thoughts) if thoughts else Text("no thought about it yet")
    yield Text()
    ids = [one_line(task["task_id"]) for task in rows_of_seed(tables.code_tasks, seed_id)]
    tasks = [("tasks", "  ".join(ids))] if ids else []
    yield field_table([("tests", paragraph(row["tests"])), *tasks])


def task(tables: Tables, task_id: str) -> Iterator[RenderableType]:
    """A question about code, a thought that leads to its answer, and what answers are held to."""
    assert tables.code_tasks is not None
    row = row_of(tables.code_tasks, "task_id", task_id)
    yield field_table([("question", paragraph(row["question"]))])
    yield Text()
    yield Rule(Text(f"task {one_line(task_id)}"), align="left", style="dim")
    if row["steps"]:
        steps = zip(row["factors"], row["steps"], strict=True)
        yield step_table([StepLine("", factor, text) for factor, text in steps])
    else:
        yield Text("no thought of its own: see those of its seed")
    yield Text()
    yield field_table(
        [
            ("answer", paragraph(row["answer"])),
            *_gold(row),
            ("verifier", row["verifier"]),
            ("seed", one_line(row["seed_id"])),
        ]
    )


def _checked_steps(row: Row) -> Iterator[StepLine]:
    for idx, text in enumerate(row["steps"]):
        own = [claim for claim in row["claims"] if claim["step_idx"] == idx]
        checked = {"run": _check_mark(row["step_checks"][idx])}
        yield StepLine("", row["factors"][idx], text, checked, list(_claim_lines(own)))


def _claim_lines(claims: Sequence[Row]) -> Iterator[Text]:
    """Claims that hold on one line, each of the others on its own."""
    if holding := [_claim(claim) for claim in claims if claim["verdict"] == "holds"]:
        yield Text("  ").join(holding)
    yield from (_claim(claim) for claim in claims if claim["verdict"] != "holds")


def _claim(claim: Row) -> Text:
    told = Text.assemble(_check_mark(claim["verdict"]), " ", (one_line(claim["text"]), "dim"))
    if claim["verdict"] == "contradicted":
        actual = "another value" if claim["actual"] is None else one_line(claim["actual"])
        told.append(f"  run: {actual}", style="bold")
    return told


def _check_mark(verdict: str) -> Text:
    """One character for what a run says of a step or a claim."""
    if verdict == "uncheckable":
        return Text("·", style="dim")
    return mark("wrong" if verdict == "contradicted" else "correct")


def _verdict(row: Row) -> Iterator[Field]:
    yield "verdict", _outcome(row)
    yield from (("because", one_line(reason)) for reason in row["reasons"])
    verdicts = [claim["verdict"] for claim in row["claims"]]
    n_false, n_open = verdicts.count("contradicted"), verdicts.count("uncheckable")
    first = f", first in step {row['first_error']}" if row["first_error"] >= 0 else ""
    told = f"{counted(len(verdicts), 'claim')}: {verdicts.count('holds')} hold, "
    yield "claims", f"{told}{n_false} contradicted{first}, {n_open} uncheckable"
    if row["leak"] is not None:
        yield "leak", f"betrays that the code was there first: {one_line(row['leak'])}"


def _outcome(row: Row) -> Text:
    if row["verified"]:
        return Text.assemble(mark("correct"), " verified")
    return Text.assemble(mark("wrong"), " not verified")


def _round_trips(row: Row) -> Iterator[Field]:
    yield (
        "round trips",
        f"{_passed(row['n_passed'], row['n_round_trips'])} from question and thought, "
        f"{_passed(row['n_bare_passed'], row['n_bare'])} from the question alone",
    )
    if row["sufficiency"] is not None:
        yield "sufficiency", f"{row['sufficiency']:+.2f}, the thought's part in that"


def _passed(n_passed: int, n: int) -> str:
    return f"{n_passed} of {counted(n, 'program')} right" if n else "no program"


def _attempts(thoughts: pl.DataFrame, row: Row) -> list[dict[str, Any]]:
    """The writings of one thought in their order, this one among them."""
    chain = ("seed_id", "route", "thought_idx")
    same = pl.all_horizontal(pl.col(name) == row[name] for name in chain)
    return thoughts.filter(same).to_dicts()


def _origin(row: Row) -> Iterator[Field]:
    yield "seed", one_line(row["seed_id"])
    if row["engine"] is not None:
        yield "engine", one_line(row["engine"])


def _in_short(row: Row) -> Text:
    """Whether a thought is verified, and if not the first reason."""
    why = f": {one_line(row['reasons'][0])}" if row["reasons"] else ""
    return _outcome(row).append(why)


def _thought_lines(thoughts: Sequence[Row], *, this: str | None = None) -> Table:
    """One line each: who wrote it, what became of it, and its id unless it is ``this``."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    for row in thoughts:
        name = f"{row['route']} {row['thought_idx']}"
        attempt = Text(f"attempt {row['attempt']}", style="dim")
        id = Text("this", "dim") if row["thought_id"] == this else short_id(row["thought_id"])
        table.add_row(Text(name), attempt, _in_short(row), id)
    return table


def _gold(row: Row) -> Iterator[Field]:
    """What answers are judged by: a value, or the parts of a JSON object that are not empty."""
    try:
        parts = None if row["verifier"] == "python_output" else json.loads(row["gold"])
    except ValueError:
        parts = None
    if not isinstance(parts, dict):
        yield "gold", paragraph(row["gold"])
        return
    for name, value in cast(dict[str, Any], parts).items():
        if value != "":
            yield f"gold {one_line(name)}", paragraph(str(value))
