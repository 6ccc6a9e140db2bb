"""``datagen shards``: lists the parts in which seeds arrived, and puts one of them aside."""

from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.commands.options import out_option

console = Console()


@click.group(invoke_without_command=True)
@out_option
@click.pass_context
def shards(context: click.Context, out: Path) -> None:
    """List the shards: where their seeds are from, how many are kept, since when, or why not.

    Dagster makes one run for each (job make_shard). The datasets are of those that were accepted.
    One that was refused is left as it is until code, settings, limits or sources have changed, or
    somebody starts make_shard for it.
    """
    context.obj = out
    if context.invoked_subcommand is None:
        _list(out)


@shards.command()
@click.argument("shard")
@click.pass_obj
def drop(out: Path, shard: str) -> None:
    """Leave a shard out of all that is published from now on. Its folder stays, renamed."""
    from datagen.shards import put_aside

    aside = put_aside(out, shard)
    click.echo(
        f"{shard} is out of the datasets once they are published anew (job publish_all). To have "
        f"it back, rename {aside} to {aside.with_name(shard)}."
    )


def _list(out: Path) -> None:
    import polars as pl

    from datagen.shards import MAIN, accepted_at, read_shards, refused_at, shard_folder

    described = {row["shard"]: row for row in read_shards(out).iter_rows(named=True)}
    table = Table("shard", "source", "rows", "kept", "accepted", box=None, header_style="bold")
    told: list[str] = []
    for name in (MAIN, *described):
        row, folder = described.get(name), shard_folder(out, name)
        tables = [folder / "tables" / f"{kind}.parquet" for kind in ("seeds", "code_seeds")]
        made = [path for path in tables if path.exists()]
        n_kept = sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in made)
        since, refusal = accepted_at(folder), refused_at(folder)
        state = f"{datetime.fromtimestamp(int(since[0]) / 1e9):%Y-%m-%d %H:%M}" if since else "no"
        if refusal:
            state += ", then refused" if since else ", refused"
            told += [f"{name}: {check}: {why}" for check, why in refusal.reasons.items()]
        table.add_row(
            name,
            row["source"] if row else "as the settings say",
            f"{row['n_rows'] or '':,}" if row and row["n_rows"] else "",
            f"{n_kept:,}" if made else "not made",
            state,
        )
    console.print(table)
    for why in told:
        console.print(Text(why), soft_wrap=True)
