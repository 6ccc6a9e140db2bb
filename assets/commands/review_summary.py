"""What ``datagen review`` says of the reviews of a run."""

from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from assets.commands.console import read_table
from assets.parquet_io import earlier_table
from datagen.review.decide.apply import count_changes
from datagen.review.decide.quality import measure_reviews


def review_summary(out: Path) -> RenderableType:
    """What awaits people, what they decided, what that changed, and who they are.

    Raises:
        ConfigError: if there has been no run in this folder.
    """
    labels, queue = read_table(out, "step_labels"), read_table(out, "review_queue")
    reviews, decisions, annotators = (
        earlier_table(out, name) for name in ("reviews", "decisions", "annotators")
    )
    found = measure_reviews(
        reviews, decisions, published=read_table(out, "reviewed_step_labels")["trace_id"].unique()
    )
    changes = count_changes(labels, read_table(out, "reviewed_step_labels"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")

    def row(name: str, figure: str, note: str = "") -> None:
        table.add_row(name, figure, Text(note))

    reasons = queue.group_by("reason").len().sort("len", "reason", descending=[True, False])
    # Nobody who reviews may know how many traps there are, but whoever runs this sees the tables.
    row("in the queue", f"{queue.height:,}", ", ".join(f"{n} {why}" for why, n in reasons.rows()))
    row("reviews", f"{found.n_reviews:,}", f"by {found.n_annotators} people")
    share = f"{found.reviewed_share:.1%} of those with labels" if found.reviewed_share else ""
    row("decided traces", f"{found.n_decided:,}", share)
    row("disputes", f"{found.n_disputed:,}", "await a senior" if found.n_disputed else "")
    row("first errors changed", f"{changes.n_first_errors:,}", f"{changes.n_steps:,} step labels")
    if found.alpha is not None:
        row("agreement", f"{found.alpha:.2f}", f"Krippendorff's α, {found.n_common:,} traces")
    if found.label_error is not None:
        row(
            "wrong before review",
            f"{found.label_error:.1%}",
            f"of all first errors; {found.label_error_low:.1%} to {found.label_error_high:.1%}, "
            f"by {found.n_random:,} random traces",
        )
    parts: list[RenderableType] = ["", table]
    if annotators.height:
        parts += ["", _people(annotators)]
    return Group(*parts)


def _people(annotators: pl.DataFrame) -> Table:
    table = Table("annotator", "reviews", "traps right", "agreement", box=None)
    for row in annotators.iter_rows(named=True):
        agreement = "" if row["agreement"] is None else f"{row['agreement']:.0%}"
        traps = f"{row['n_traps_right']} of {row['n_traps']}" if row["n_traps"] else ""
        table.add_row(row["annotator"], f"{row['n_reviews']:,}", traps, agreement)
    return table
