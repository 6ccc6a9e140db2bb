"""A few rows of a table as text that can be read, in Markdown.

The surprising fact: each is what ``datagen show`` prints, set as a block of code. There, nothing
that a model wrote can become markup: no picture is fetched from an address that it made up, and a
table stays a table. What is long is cut in its middle, since a trace is known by its end.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import polars as pl
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from datagen.show.code import thought
from datagen.show.lookup import Tables
from datagen.show.search import question, search
from datagen.show.steps import StepLine, step_table
from datagen.show.styles import field_table, label_mark, mark, one_line, paragraph
from datagen.show.trace import rollout, trace
from schemas import Node, Prefix, Rollout

_WIDTH: Final = 110
"""From 100 columns on, a program and its run stand side by side."""

_N_RIGHT: Final = 2
_N_WRONG: Final = 1
_MAX_LINES: Final = 64
_MAX_CHARS: Final = 4_000
"""Of one text of a row, before it is laid out: some models write a book."""

_ENDS: Final = (pl.col("outcome") == "correct", pl.col("outcome") == "wrong")
_NONE: Final = pl.lit(False)

Row = Mapping[str, Any]


def trace_samples(
    traces: pl.DataFrame,
    *,
    step_labels: pl.DataFrame | None = None,
    trace_labels: pl.DataFrame | None = None,
    critiques: pl.DataFrame | None = None,
) -> str:
    """Two right traces and a wrong one, a line for each step.

    Args:
        traces: table ``traces``, or one with its columns.
        step_labels: table ``step_labels``, to show how good each step is.
        trace_labels: table ``trace_labels``, to show where the trace first goes wrong.
        critiques: table ``critiques``, to show what judges say.
    """
    # What people wrote is known already.
    picked = _picked(traces, *_ENDS, last=pl.col("provenance") == "human")
    tables = _tables(
        traces=picked, step_labels=step_labels, trace_labels=trace_labels, critiques=critiques
    )
    return _blocks(Group(*trace(tables, id)) for id in picked["trace_id"])


def rollout_samples(rollouts: pl.DataFrame, prefixes: pl.DataFrame) -> str:
    """Two right rollouts and a wrong one, of tables ``rollouts`` and ``prefixes``."""
    picked = _picked(rollouts, *_ENDS)
    tables = _tables(rollouts=picked, prefixes=prefixes)
    return _blocks(Group(*rollout(tables, id)) for id in picked["rollout_id"])


def tree_sample(nodes: pl.DataFrame, rollouts: pl.DataFrame, prefixes: pl.DataFrame) -> str:
    """The first tree that has more than a root, of tables ``nodes``, ``rollouts``, ``prefixes``."""
    grown = prefixes.join(nodes.filter(pl.col("depth") > 0), on="prefix_id", how="semi")
    tables = _tables(nodes=nodes, rollouts=rollouts, prefixes=prefixes)
    return _blocks(
        Group(question(tables, prefix), *search(tables, prefix, rollouts=False))
        for prefix in grown.head(1).to_dicts()
    )


def thought_samples(code_thoughts: pl.DataFrame, executions: pl.DataFrame | None = None) -> str:
    """Two verified thoughts and one that is not, each beside its program.

    Args:
        code_thoughts: table ``code_thoughts``.
        executions: table ``executions``, to show the run beside the program.
    """
    picked = _picked(code_thoughts, pl.col("verified"), ~pl.col("verified"))
    tables = _tables(code_thoughts=picked, executions=executions)
    return _blocks(Group(*thought(tables, id)) for id in picked["thought_id"])


def correction_samples(corrections: pl.DataFrame) -> str:
    """Three traces that mend an error, of both kinds, with what each step is there for."""
    kinds = corrections.unique("kind", keep="first", maintain_order=True)
    more = corrections.join(kinds, on="trace_id", how="anti")
    picked = _clipped(pl.concat([kinds, more]).head(_N_RIGHT + _N_WRONG))
    return _blocks(map(_correction, picked.to_dicts()))


def chat_samples(chats: pl.DataFrame) -> str:
    """Three conversations, of a table with a column ``messages``."""
    first = chats.select(pl.col("seed_id").is_first_distinct().arg_true())["seed_id"]
    picked = chats[first.head(_N_RIGHT + _N_WRONG).to_list()]
    return _blocks(map(_chat, picked.to_dicts()))


def row_samples(frame: pl.DataFrame) -> str:
    """The first three rows of any table, each column under its name, lists a line for each item."""
    rows = frame.head(_N_RIGHT + _N_WRONG).iter_rows(named=True)
    return _blocks(
        field_table((name, _readable(value)) for name, value in row.items()) for row in rows
    )


def labelled_samples(prm: pl.DataFrame) -> str:
    """Two rows without a bad step and one with, of table ``prm``."""
    sound = pl.col("labels").list.all()
    picked = _picked(prm, sound, ~sound)
    return _blocks(map(_labelled, picked.to_dicts()))


def benchmark_samples(processbench: pl.DataFrame) -> str:
    """Two rows without a wrong step and one with, of table ``processbench``."""
    sound = pl.col("label") < 0
    picked = _picked(processbench, sound, ~sound)
    return _blocks(map(_benchmarked, picked.to_dicts()))


def _picked(
    frame: pl.DataFrame, right: pl.Expr, wrong: pl.Expr, *, last: pl.Expr = _NONE
) -> pl.DataFrame:
    """A few of both, of different seeds where there are any, the right ones first.

    Only what is needed to choose is looked at: a table may hold gigabytes of text.
    """
    chosen: list[int] = []
    keys = frame.select("seed_id", right=right, wrong=wrong, last=last).with_row_index("row")
    for which, n in (("right", _N_RIGHT), ("wrong", _N_WRONG)):
        order = keys.filter(which).sort("last", maintain_order=True)
        again = ~pl.col("seed_id").is_first_distinct()
        chosen += order.sort("last", again, maintain_order=True)["row"].head(n).to_list()
    return _clipped(frame[chosen])


def _clipped(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts of bounded length, alone and in lists."""
    return frame.with_columns(
        pl.col(pl.String).str.head(_MAX_CHARS),
        pl.col(pl.List(pl.String)).list.eval(pl.element().str.head(_MAX_CHARS)),
    )


def _tables(
    *,
    prefixes: pl.DataFrame | None = None,
    nodes: pl.DataFrame | None = None,
    rollouts: pl.DataFrame | None = None,
    **others: pl.DataFrame | None,
) -> Tables:
    return Tables(
        prefixes=Prefix.empty() if prefixes is None else prefixes,
        nodes=Node.empty() if nodes is None else nodes,
        rollouts=Rollout.empty() if rollouts is None else rollouts,
        **others,
    )


def _correction(row: Row) -> RenderableType:
    parts = zip(row["factors"], row["steps"], row["step_roles"], row["step_labels"], strict=True)
    steps = [
        StepLine("", factor, text, {"role": Text(role), "label": label_mark(good)})
        for factor, text, role, good in parts
    ]
    n = row["n_attempts"]
    return Group(
        *_asked(row["question"], f"trace {one_line(row['trace_id'])}"),
        step_table(steps, {"role": "left", "label": "left"}),
        Text(),
        field_table(
            [
                ("outcome", _ended(row["outcome"] == "correct", row["answer"])),
                ("made by", f"{row['kind']}, {n} wrong attempt{'s' if n > 1 else ''} in it"),
            ]
        ),
    )


def _chat(row: Row) -> RenderableType:
    said = [(turn["role"], paragraph(turn["content"][:_MAX_CHARS])) for turn in row["messages"]]
    told = [("summary", paragraph(row["summary"]))] if row.get("summary") else []
    return Group(Rule(Text(one_line(row["id"])), align="left"), field_table([*said, *told]))


def _labelled(row: Row) -> RenderableType:
    parts = zip(row["completions"], row["labels"], row["step_scores"], strict=True)
    steps = [
        StepLine("", "", text, {"label": label_mark(good), "score": Text(f"{score:.2f}")})
        for text, good, score in parts
    ]
    bad = row["labels"].index(False) if False in row["labels"] else None
    told = "no step is labelled bad" if bad is None else f"the first bad step is {bad}"
    return Group(
        *_asked(row["prompt"], f"row {one_line(row['id'])}"),
        step_table(steps, {"label": "left", "score": "right"}),
        Text(),
        field_table([("labels", Text.assemble(label_mark(bad is None), " ", told))]),
    )


def _benchmarked(row: Row) -> RenderableType:
    label = row["label"]
    steps = [
        StepLine("", "", text, {"label": Text("✗ first error" if idx == label else "")})
        for idx, text in enumerate(row["steps"])
    ]
    return Group(
        *_asked(row["problem"], f"row {one_line(row['id'])}"),
        step_table(steps, {"label": "left"}),
        Text(),
        field_table(
            [
                ("outcome", _ended(row["final_answer_correct"])),
                ("label", "no step is wrong" if label < 0 else f"step {label} is the first wrong"),
                ("generator", one_line(row["generator"])),
            ]
        ),
    )


def _readable(value: Any) -> str:
    """A value of a cell as lines: a conversation by who speaks, a list by number."""
    match value:
        case None:
            return "–"
        case [{"role": _, "content": _}, *_]:
            return "\n".join(f"{_readable(m['role'])}: {_readable(m['content'])}" for m in value)
        case list():
            items = value[:_MAX_LINES]
            return "\n".join(f"{n}  {one_line(_readable(item))}" for n, item in enumerate(items))
        case dict():
            return one_line(json.dumps(value, ensure_ascii=False, default=str)[:_MAX_CHARS])
        case float():
            return f"{value:.4g}"
        case _:
            return paragraph(str(value)[:_MAX_CHARS])


def _asked(question: str, title: str) -> Iterator[RenderableType]:
    yield field_table([("question", paragraph(question))])
    yield Text()
    yield Rule(Text(title), align="left")


def _ended(right: bool, answer: str | None = None) -> Text:
    told = "" if answer is None else f": answer {one_line(answer)}"
    return Text.assemble(
        mark("correct" if right else "wrong"), " right" if right else " wrong", told
    )


def _blocks(parts: Iterable[RenderableType]) -> str:
    """Each as a block of code that nothing in it can end."""
    blocks: list[str] = []
    for part in parts:
        text = "\n".join(_shortened(_printed(part)))
        longest = max(map(len, re.findall(r"`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        blocks.append(f"{fence}text\n{text}\n{fence}")
    return "\n\n".join(blocks) or "There is no row."


def _printed(part: RenderableType) -> list[str]:
    file = io.StringIO()
    # Nothing of the terminal that the process was started from.
    console = Console(file=file, width=_WIDTH, color_system=None, legacy_windows=False, _environ={})
    console.print(part)
    return [line.rstrip() for line in file.getvalue().rstrip("\n").split("\n")]


def _shortened(lines: list[str]) -> list[str]:
    """At most so many lines; what is left out is left out of the middle."""
    if len(lines) <= _MAX_LINES:
        return lines
    n_head = 2 * _MAX_LINES // 3
    n_tail = _MAX_LINES - n_head - 1
    n_out = len(lines) - n_head - n_tail
    return [*lines[:n_head], f"… {n_out:,} more lines …", *lines[-n_tail:]]
