"""What ``datagen run`` shows: a bar while it works, a table at the end."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from assets.parquet_io import CONTRACT_OF, last_table, table_path
from datagen.config import Settings
from datagen.curate import rejection_counts
from datagen.errors import ConfigError
from datagen.publish.card.statistics import code_statistics
from datagen.publish.configs import own_configs
from datagen.search.budget import Progress as EngineProgress
from datagen.search.run import RunProgress
from datagen.shards import shard_names
from datagen.show import Tables
from schemas.vocabulary import CODE_TASKS

_SHOWN = ("seeds", "quarantine", "prefixes", "traces", "probes", "step_labels", "trace_labels")
_DATASETS = ("sft", "sft_plain", "prm", "prm_verified", "rl", "traces", "raw_rollouts")
_FURTHER = (
    *("preference", "step_preference", "kto", "advantages", "policy_value", "critique"),
    *("orm", "processbench", "rubric_rewards", "corrections", "code_thoughts"),
)
"""Datasets that are only spoken of where there are rows."""
_CODE = ("code_seeds", "executions", "code_tasks", "code_thoughts")
_PLAIN_EVERY_S = 10.0


class RunDisplay:
    """Listens to a run and draws it.

    On a terminal the search has a live bar; in a log file it has a line every ten seconds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("search", total=None, visible=False, figures="")
        self._printed_at = time.monotonic()
        self.began = time.monotonic()
        self.search: RunProgress | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def table_written(self, name: str, n_rows: int) -> None:
        """Print a line for each table as it is finished."""
        self._bar.update(self._task, visible=False)
        self._console.print(Text(f"  {name:<24}{n_rows:>9,} rows"))

    def search_moved(self, progress: RunProgress) -> None:
        """Move the bar."""
        self.search = progress
        engine = progress.engine
        figures = figures_of(progress)
        if self._console.is_terminal:
            self._bar.update(
                self._task,
                visible=True,
                description="search",
                completed=progress.n_rollouts,
                total=max(progress.n_expected, progress.n_rollouts + 1),
                figures=figures,
            )
        elif time.monotonic() - self._printed_at > _PLAIN_EVERY_S:
            self._printed_at = time.monotonic()
            done = f"{engine.n_finished}/{engine.n_searches}"
            self._console.print(Text(f"  search {done}  {figures}"), soft_wrap=True)

    def stage_moved(self, stage: str, progress: EngineProgress) -> None:
        """Move the bar of a stage whose length nobody knows."""
        rate = progress.n_tokens / progress.seconds if progress.seconds else 0
        figures = f"{progress.n_tokens:,} tokens  {rate:,.0f} tokens/s"
        if self._console.is_terminal:
            self._bar.update(
                self._task, visible=True, description=stage, total=None, figures=figures
            )
        elif time.monotonic() - self._printed_at > _PLAIN_EVERY_S:
            self._printed_at = time.monotonic()
            self._console.print(Text(f"  {stage}  {figures}"), soft_wrap=True)


def figures_of(progress: RunProgress) -> str:
    """Solved and all rollouts, tokens, and tokens per second."""
    engine = progress.engine
    rate = engine.n_tokens / engine.seconds if engine.seconds else 0
    replayed = f"  {engine.n_replayed:,} replayed" if engine.n_replayed else ""
    return (
        f"{progress.n_correct:,}/{progress.n_rollouts:,} solved  "
        f"{engine.n_tokens:,} tokens  {rate:,.0f} tokens/s{replayed}"
    )


def load_tables(out: Path) -> Tables:
    """The tables of a run, for drawing; a run that was stopped may lack the later ones.

    Raises:
        ConfigError: if there has been no run in this folder.
    """
    later = ("traces", "step_labels", "probes", "trace_labels", "critiques", *_CODE)
    made = {name: read_table(out, name) for name in later if _is_there(out, name)}
    # Programs are worth showing before, or without, any search.
    has_code = "code_seeds" in made and made["code_seeds"].height > 0
    searched = {
        name: CONTRACT_OF[name].empty()
        if has_code and not _is_there(out, name)
        else read_table(out, name)
        for name in ("prefixes", "nodes", "rollouts")
    }
    return Tables(**searched, **made)


def read_table(out: Path, name: str) -> pl.DataFrame:
    """A table of a run.

    Raises:
        ConfigError: if there has been no run in this folder.
    """
    if not _is_there(out, name):
        path = table_path(out, name)
        raise ConfigError(
            f"there is no {str(path)!r}; make it with `datagen run --out {out}`, or name the "
            "folder of an earlier run with --out"
        )
    return last_table(out, name)


def _is_there(out: Path, name: str) -> bool:
    return table_path(out, name).exists() or len(shard_names(out)) > 1


def summary(out: Path, settings: Settings, display: RunDisplay) -> RenderableType:
    """The closing table: what was read, searched, labelled and published."""
    frames = {name: read_table(out, name) for name in (*_SHOWN, "rollouts", *_DATASETS)}
    rollouts, labels = frames["rollouts"], frames["step_labels"]
    n_right, n_wrong, n_unread, n_cut = (
        rollouts.filter(pl.col("outcome") == outcome).height
        for outcome in ("correct", "wrong", "unverifiable", "truncated")
    )
    decided = n_right + n_wrong
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")

    def row(name: str, figure: str, note: str = "") -> None:
        table.add_row(name, figure, Text(note))

    refused = frames["quarantine"].height
    row("seeds", f"{frames['seeds'].height:,}", f"{refused:,} rows refused" if refused else "")
    for cells in _code_rows(out):
        row(*cells)
    for kind, name in (("questions", "rejected_questions"), ("traces", "rejected_traces")):
        if (rejected := read_table(out, name)).height:
            told = ", ".join(f"{n:,} {rule}" for _, rule, n in rejection_counts(rejected).rows())
            row(f"rejected {kind}", f"{rejected['id'].n_unique():,}", told.replace("_", " "))
    row("rollouts", f"{rollouts.height:,}", f"{n_unread:,} unverifiable, {n_cut:,} truncated")
    rate = f"{n_right / decided:.1%}" if decided else "none verified"
    row("pass rate", rate, f"{n_right:,} right, {n_wrong:,} wrong")
    traces, probes = frames["trace_labels"], frames["probes"]
    n_tokens = int(probes["n_tokens"].sum())
    row("measured traces", f"{traces.height:,}", f"{n_tokens:,} tokens in {probes.height:,} probes")
    by_posterior = labels.filter(pl.col("label_source") == "posterior").height
    row("labelled steps", f"{by_posterior:,}", "with a posterior")
    n_verified = int(traces["verified"].sum())
    row("verified traces", f"{n_verified:,}", "posterior and judges agree on the first error")
    for name in _DATASETS:
        # The table is called so because ``rollouts`` is another one; the dataset is not.
        row(f"dataset {name.removeprefix('raw_')}", f"{frames[name].height:,}", "rows")
    for name in (*_FURTHER, *own_configs()):
        if n_rows := read_table(out, name).height:
            row(f"dataset {name}", f"{n_rows:,}", "rows")
    if display.search:
        row("search", f"{display.search.engine.seconds:.0f} s", figures_of(display.search))
    row("in all", f"{time.monotonic() - display.began:.0f} s")

    parts: list[RenderableType] = ["", table, ""]
    if display.search and display.search.engine.budget_spent:
        parts.append(Text("The budget was spent before all searches had ended.", style="yellow"))
    if settings.engine.is_embedded:
        parts.append(
            Text(
                "Written by the embedded reasoner, a toy that knows one small world of word "
                "problems.\nFor real data name a real model: --model, or engine.model in "
                "datagen.toml."
            )
        )
    if n_items := read_table(out, "review_queue").height:
        where = "in Argilla" if settings.review.tool == "argilla" else f"in {out / 'review'}"
        parts.append(Text(f"\n{n_items:,} traces await people {where}; see `datagen review`."))
    folder = (out / "published").resolve()
    parts.append(Text(f'\nload_dataset("{folder}", "prm", split="train")', style="bold green"))
    return Group(*parts)


def _code_rows(out: Path) -> Iterator[tuple[str, str, str]]:
    """Name, figure and note of what there is about code; nothing if there are no code seeds."""
    seeds, runs, tasks, thoughts = (read_table(out, name) for name in _CODE)
    if seeds.is_empty():
        return
    yield "code seeds", f"{seeds.height:,}", f"recorded runs: {runs.height:,}"
    kinds = dict(tasks.group_by("kind").len().iter_rows())
    told = ", ".join(f"{kinds[kind]:,} {kind}" for kind in CODE_TASKS if kind in kinds)
    yield "code tasks", f"{tasks.height:,}", told
    found = code_statistics(thoughts)
    share = f"{found.n_verified / found.n_thoughts:.1%} verified; " if found.n_thoughts else ""
    n_false, _ = found.claims["contradicted"]
    note = f"{share}contradicted claims in verified thoughts: {n_false:,}"
    yield "code thoughts", f"{found.n_thoughts:,}", note


def quieten_transformers() -> None:
    """A checkpoint's own progress bar would break ours."""
    from transformers.utils import logging as transformers_logging

    disable: Callable[[], Any] = transformers_logging.disable_progress_bar
    disable()
