"""``datagen review``: brings up Argilla for people who review.

Whatever talks to Argilla is imported by the command that needs it: ``--help`` should not wait.
"""

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datagen.review.server import Server


@click.group()
def review() -> None:
    """Let people review traces in Argilla."""


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
