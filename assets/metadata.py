"""What is shown of a table in Dagster: pictures, counts, and rows that can be read as text.

The surprising fact: what is drawn or written for the eye can fail without failing its asset. A
stage may have asked an engine for hours, and a chart is no reason to ask again.

Numbers stay numbers, since Dagster draws those over time; tables are tables, which it shows in
place and never reads as markup; pictures and samples are Markdown, which it opens on a click.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import dagster as dg
import polars as pl

from datagen.pictures import Picture
from datagen.publish.card.markdown import line
from datagen.publish.card.statistics import code_statistics
from datagen.report.work import STAGES, Work
from datagen.search.budget import Progress
from datagen.show.samples import row_samples

_P = ParamSpec("_P")
_CELL = 160
_NARROW = 48
_PLAIN = (str, int, float, bool, type(None))
_MAX_COUNTS = 60


def picture(
    draw: Callable[_P, Picture | None], *args: _P.args, **kwargs: _P.kwargs
) -> dg.MarkdownMetadataValue:
    """A chart of :mod:`datagen.pictures`, with the sentence below it.

    Args:
        draw: draws it.
        args: what ``draw`` is given.
        kwargs: likewise.
    """

    def shown() -> str:
        drawn = draw(*args, **kwargs)
        return drawn.markdown() if drawn else "There is nothing to draw yet."

    return _attempted(shown)


def sample(
    write: Callable[_P, str], *args: _P.args, **kwargs: _P.kwargs
) -> dg.MarkdownMetadataValue:
    """Rows written out by a function of :mod:`datagen.show.samples`, given the rest."""
    return _attempted(lambda: write(*args, **kwargs))


def sample_rows(
    frame: pl.DataFrame, columns: Sequence[str], *, n: int = 3
) -> dg.TableMetadataValue | dg.MarkdownMetadataValue:
    """The first ``n`` rows of some columns: a table if it is a narrow one, else written out."""
    rows = frame.select(columns).head(n)
    cells = [value for row in rows.iter_rows() for value in row]
    if all(isinstance(cell, _PLAIN) and len(str(cell)) <= _NARROW for cell in cells):
        records = [dg.TableRecord(row) for row in rows.iter_rows(named=True)]
        kinds = {name: str(dtype).lower() for name, dtype in rows.schema.items()}
        return _table(records, kinds)
    return sample(row_samples, rows)


def counts(frame: pl.DataFrame, column: str) -> dg.TableMetadataValue:
    """How often each value of a column occurs; of very many values, those that occur most often."""
    tally = frame.group_by(pl.col(column).cast(pl.String)).len("rows")
    tally = tally.sort(["rows", column], descending=[True, False], nulls_last=True)
    records = [
        dg.TableRecord({column: _short(value), "rows": n, "share": round(n / frame.height, 4)})
        for value, n in tally.head(_MAX_COUNTS).iter_rows()
    ]
    return _table(records, {column: "string", "rows": "int", "share": "float"})


def row_counts(rows: Mapping[str, int]) -> dg.TableMetadataValue:
    """Rows by dataset, in the order given."""
    records = [dg.TableRecord({"dataset": name, "rows": n}) for name, n in rows.items()]
    return _table(records, {"dataset": "string", "rows": "int"})


def engine_work(progress: Progress) -> Mapping[str, Any]:
    """What a stage had the engine do, and what that took."""
    return {
        "tokens_generated": progress.n_tokens,
        "tokens_per_s": round(progress.tokens_per_s, 1),
        "prompt_tokens": progress.n_prompt_tokens,
        "prompt_cached_share": round(progress.cached_share, 4),
        "completions_generated": progress.n_generated,
        "completions_replayed": progress.n_replayed,
        "requests_cancelled": progress.n_cancelled,
        "requests_retried": progress.n_retries,
        "cost": progress.cost,
        "seconds": progress.seconds,
        "budget_spent": progress.budget_spent,
    }


def work_table(work: Mapping[str, Work]) -> dg.TableMetadataValue:
    """What every stage had the engine do, a row each, and their sum."""
    rows = {STAGES[stage]: did for stage, did in work.items() if did.asked}
    rows |= {"all": Work.total(rows.values())} if rows else {}
    # What a narrow page cuts off stands last.
    kinds = {
        "stage": "string",
        "tokens": "int",
        "seconds": "float",
        "cost": "float",
        "prompt tokens": "int",
        "cached share": "float",
        "drawn": "int",
        "replayed": "int",
    }
    cells = (
        (
            *(stage, did.n_tokens, round(did.seconds, 1), round(did.cost, 4)),
            *(did.n_prompt_tokens, round(did.n_cached_tokens / (did.n_prompt_tokens or 1), 4)),
            *(did.n_generated, did.n_replayed),
        )
        for stage, did in rows.items()
    )
    return _table([dg.TableRecord(dict(zip(kinds, row, strict=True))) for row in cells], kinds)


def thought_figures(code_thoughts: pl.DataFrame) -> Mapping[str, Any]:
    """How thoughts about code fared."""
    found = code_statistics(code_thoughts)
    n, n_verified = (sum(counted[i] for counted in found.routes.values()) for i in (0, 1))
    claims = {verdict: n_all for verdict, (_, n_all) in found.claims.items()}
    return {
        "claims": dg.MetadataValue.json(claims),
        "verified_share": n_verified / n if n else 0.0,
        "sufficiency": found.sufficiency or 0.0,
    }


def described(frame: pl.DataFrame, *columns: str, **more: Any) -> Mapping[str, Any]:
    """Row count, whatever else is given, and rows of ``columns`` unless it has a sample."""
    shown: dict[str, Any] = {"dagster/row_count": frame.height, **more}
    if frame.height and columns:
        shown.setdefault("sample", sample_rows(frame, columns))
    return shown


def _attempted(write: Callable[[], str]) -> dg.MarkdownMetadataValue:
    try:
        return dg.MetadataValue.md(write())
    except Exception as error:
        dg.get_dagster_logger().warning("this part of the metadata is missing", exc_info=True)
        return dg.MetadataValue.md(line(f"Not shown, since it failed: {error!r:.500}"))


def _table(records: list[dg.TableRecord], kinds: Mapping[str, str]) -> dg.TableMetadataValue:
    schema = dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in kinds.items()])
    return dg.MetadataValue.table(records, schema)


def _short(value: Any) -> str:
    text = " ⏎ ".join(("–" if value is None else str(value)).splitlines())
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
