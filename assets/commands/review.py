"""``datagen review``: brings up Argilla, puts the queue before people, takes what they answered.

Whatever talks to Argilla or to Dagster is imported by the command that needs it: ``--help`` should
not wait for it.
"""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from assets.commands.options import config_option, out_option

if TYPE_CHECKING:
    from assets.workspace import Workspace
    from datagen.review.server import Server
    from datagen.review.tools.protocol import Problem, Pushed

console = Console()


@click.group()
def review() -> None:
    """Let people review traces, in Argilla or in files."""


@review.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=6900,
    show_default=True,
    help="On 127.0.0.1; 0 takes a free one.",
)
@click.option(
    "--user", "annotators", metavar="NAME", multiple=True, help="Add an annotator; repeatable."
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of its data; default: `review` in DATAGEN_HOME or ~/.local/share/datagen.",
)
@click.option("--install-only", is_flag=True, help="Only make the server's environment.")
def serve(port: int, annotators: tuple[str, ...], home: Path | None, install_only: bool) -> None:
    """Run an Argilla server on this machine until Ctrl-C.

    The first start installs it (a minute, 600 MB) into an environment of its own, which
    DATAGEN_ARGILLA_VENV may name, and makes the owner's login. Restarts keep logins and data.
    """
    from datagen.review.server import serve as run_server
    from datagen.review.server.install import install, problem
    from datagen.review.server.places import server_venv

    venv = server_venv()
    if problem(venv):
        click.echo(f"Installing Argilla's server into {venv}: once, about a minute, 600 MB.")
        install(venv, ["--quiet"])
    if install_only:
        click.echo(f"Argilla's server is installed in {venv}.")
        return
    # Whoever ends a service sends this; it is to end in the same good order as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with run_server(home, port=port, annotators=annotators, venv=venv) as server:
        try:
            _tell(server)
            server.wait()
        except KeyboardInterrupt:
            click.echo("\nStopping.")


@review.command()
@out_option
@config_option
def push(out: Path, config: Path | None) -> None:
    """Put the queue of a run before people; `datagen run` does so by itself."""
    from assets.commands.console import read_table

    workspace = _workspace(out, config)
    tool = workspace.review_tool()
    pushed = tool.push(read_table(out, "review_queue"))
    n_forms = tool.offer_seeds(workspace.settings.review.n_seed_forms)
    console.print(f"{_pushed(pushed)} {n_forms} new forms for seeds.", soft_wrap=True)


@review.command()
@out_option
@config_option
def pull(out: Path, config: Path | None) -> None:
    """Take what people submitted, decide, and make anew what depends on it."""
    from assets.automation.jobs import DEPENDS_ON_REVIEWS
    from assets.commands.console import RunDisplay, read_table
    from assets.commands.materialize import materialize
    from assets.commands.review_summary import review_summary
    from assets.progress import listening

    workspace = _workspace(out, config)
    read_table(out, "traces")  # says what to do if there is no run
    _print_problems(
        [problem for tool in workspace.review_tools() for problem in tool.pull().problems]
    )
    with RunDisplay(console) as display, listening(display):
        materialize(workspace.settings, out, DEPENDS_ON_REVIEWS)
    console.print(review_summary(out))


@review.command()
@out_option
def status(out: Path) -> None:
    """What awaits review, what was decided, and how far reviewers agree."""
    from assets.commands.review_summary import review_summary

    console.print(review_summary(out))


@review.command()
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Default: OUT/review.")
@out_option
@config_option
def export(folder: Path | None, out: Path, config: Path | None) -> None:
    """Write the queue and empty forms for seeds into JSONL files, to be sent to people."""
    from assets.commands.console import read_table
    from datagen.review.tools.jsonl.tool import JsonlTool

    settings = _workspace(out, config).settings.review
    folder = folder or out / "review"
    tool = JsonlTool(folder, suggest=settings.suggest)
    pushed = tool.push(read_table(out, "review_queue"))
    tool.offer_seeds(settings.n_seed_forms)
    console.print(_pushed(pushed))
    console.print(
        f"Send {escape(str(folder / 'queue.jsonl'))} to reviewers; its first line explains it. "
        f"disputes.jsonl is for seniors, seeds.jsonl for authors. Take what comes back with "
        "`datagen review import FILE`.",
        soft_wrap=True,
    )


@review.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@out_option
@config_option
def import_(files: tuple[Path, ...], out: Path, config: Path | None) -> None:
    """Take filled-in files; whoever answered is named by the file: ann.jsonl.

    Rows that cannot be read are named with their line, and the exit status is 1; the others count.
    """
    from datagen.review.tools.jsonl.tool import JsonlTool

    tool = JsonlTool(_workspace(out, config).review_path)
    problems: list[Problem] = []
    for file in files:
        taken = tool.take(file)
        console.print(f"{escape(str(file))}: {taken.reviews.height:,} reviews", soft_wrap=True)
        problems += taken.problems
    _print_problems(problems)
    seeds = tool.pull_seeds()
    _print_problems(seeds.problems)
    console.print(
        f"{len(seeds.rows):,} seeds are written, for the next `datagen run`. `datagen review pull` "
        "puts reviews into the labels.",
        soft_wrap=True,
    )
    sys.exit(1 if problems or seeds.problems else 0)


def _workspace(out: Path, config: Path | None) -> "Workspace":
    from assets.workspace import Workspace
    from datagen.config import load_settings

    return Workspace(out=str(out), settings_json=load_settings(config).model_dump_json())


def _pushed(pushed: "Pushed") -> str:
    long = f", {pushed.n_too_long:,} left out for their length" if pushed.n_too_long else ""
    return (
        f"{pushed.n_new:,} traces are new, {pushed.n_updated:,} shown anew, {pushed.n_same:,} as "
        f"before, {pushed.n_withdrawn:,} withdrawn{long}."
    )


def _print_problems(problems: "Sequence[Problem]") -> None:
    for problem in problems:
        click.echo(f"  {problem.where}: {problem.reason}", err=True)


def _tell(server: "Server") -> None:
    from datagen.review.server.credentials import credentials_file

    click.echo(f"Argilla is at {server.url}, its data in {server.home}.")
    kept = credentials_file(server.home)
    if server.added:
        click.echo(f"New logins, shown this once and kept in {kept}:\n")
        width = max(len(user.username) for user in server.added)
        for user in server.added:
            click.echo(f"  {user.username:<{width}}  {user.password}  key {user.api_key}")
        click.echo()
    else:
        click.echo(f"Logins are in {kept}.")
    click.echo("Ctrl-C stops it.")
