"""``datagen publish``: compares a finished folder with a target, shows the plan, and transfers it.

There is no option for a token: a command line ends up in histories and process lists.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assets.commands.options import config_option, out_option
from datagen.errors import PublishError

if TYPE_CHECKING:
    from datagen.config import PublishSettings
    from datagen.publish.transfer.plan import Plan, Publication, SplitChange
    from datagen.publish.transfer.target import Target

Gated = Literal["auto", "manual", "no"]

_MAX_LINES = 40
"""Of the list of files; a large dataset has thousands."""

console = Console()


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says; ``None`` where it says nothing."""

    to: str | None = None
    private: bool | None = None
    gated: Gated | None = None
    tag: str | None = None
    license: str | None = None
    dry_run: bool = False


@click.command()
@click.option("--to", metavar="DIR|OWNER/NAME", help="Folder, or dataset on the Hub (HF_ENDPOINT).")
@click.option("--from", "folder", type=click.Path(path_type=Path), help="Folder to publish.")
@out_option
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--private/--public", default=None, help="Who may see it; default: as it is.")
@click.option("--gated", type=click.Choice(["auto", "manual", "no"]), help="Who may read it.")
@click.option("--tag", help="Name of the tag; default: from the digest of the data.")
@click.option("--license", help="To publish under, where those of the seeds differ.")
@config_option
def publish(
    to: str | None,
    folder: Path | None,
    out: Path,
    dry_run: bool,
    private: bool | None,
    gated: Gated | None,
    tag: str | None,
    license: str | None,
    config: Path | None,
) -> None:
    """Publish a finished dataset: checked, compared with what is there, and sent in one commit.

    The token for the Hub is read from HF_TOKEN or from the login of `hf auth login`. Interrupted,
    the same command goes on where it was.
    """
    from datagen.config import load_settings
    from datagen.publish.configs import use_exports

    given = Given(to, private, gated, tag, license, dry_run)
    settings = load_settings(config)
    use_exports(settings.export.further)  # which the folder is to be checked by
    run_publish(folder or out / "published", settings.publish, given)


def run_publish(folder: Path, settings: "PublishSettings", given: Given) -> None:
    """Publish, and tell of it; what the command line says goes before the settings.

    Raises:
        PublishError: if it cannot be done.
    """
    # It takes a second to import, and nobody should wait for that to see --help.
    from datagen.publish.transfer.target import parse_target
    from datagen.publish.transfer.target import publish as publish_folder

    to = given.to or settings.to
    if to is None:
        raise PublishError(
            "nowhere to publish to: give --to DIR or --to owner/name, or set publish.to"
        )
    target = parse_target(to)
    _refuse_hub_options(target, given)
    gated = given.gated or settings.gated
    private = settings.private if given.private is None else given.private
    publication = publish_folder(
        folder,
        to,
        private=private,
        gated=False if gated == "no" else gated,
        tag=given.tag,
        dry_run=given.dry_run,
        license=given.license or settings.license,
        require_benchmarks=settings.require_benchmarks,
        min_reviewed_share=settings.min_reviewed_share,
        min_alpha=settings.min_alpha,
        on_plan=_print_plan,
    )
    _print_publication(publication, dry_run=given.dry_run)


def _refuse_hub_options(target: "Target", given: Given) -> None:
    """Settings are for wherever it goes, but who types an option wants it to be kept."""
    asked = {"--private": given.private, "--gated": given.gated, "--tag": given.tag}
    options = [name for name, value in asked.items() if value is not None]
    if target.folder is not None and options:
        raise PublishError(
            f"{options[0]} is for the Hub, and {str(target.folder)!r} is a folder; leave it out, "
            "or give --to owner/name"
        )


def _print_plan(plan: "Plan") -> None:
    console.print(f"[bold]{escape(plan.target)}[/]{'' if plan.exists else ' (new)'}")
    for setting in plan.settings:
        console.print(escape(setting))
    table = Table(box=None, header_style="bold")
    for name in ("config", "split"):
        table.add_column(name, overflow="fold")
    for name in ("rows there", "to publish", "difference", "files", "bytes"):
        table.add_column(name, justify="right")
    for row in plan.splits:
        rows = ("" if n is None else f"{n:,}" for n in (row.before, row.after))
        table.add_row(
            row.config, row.split, *rows, _difference(row), f"{row.n_files:,}", f"{row.n_bytes:,}"
        )
    console.print(table)
    for change in plan.files[:_MAX_LINES]:
        size = "" if change.action == "delete" else f" ({change.n_bytes:,} bytes)"
        console.print(f"  {change.action:<6} {escape(change.path)}{size}", soft_wrap=True)
    if len(plan.files) > _MAX_LINES:
        console.print(f"  and {len(plan.files) - _MAX_LINES:,} more")
    console.print(escape(plan.summary()), soft_wrap=True)


def _difference(row: "SplitChange") -> str:
    if row.same:
        return "same"
    return f"{(row.after or 0) - (row.before or 0):+,}"


def _print_publication(publication: "Publication", *, dry_run: bool) -> None:
    if dry_run:
        console.print("Nothing was changed: this was a dry run.")
        return
    what = "Published" if publication.changed else "Everything is there already"
    console.print(f"{what}: {escape(publication.url)}", soft_wrap=True)
    if publication.tag is not None:
        console.print(f"Tag: {escape(publication.tag)}", soft_wrap=True)
    console.print(f"Load it: {escape(publication.load)}", soft_wrap=True)
