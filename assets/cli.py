"""The ``datagen`` command.

``datagen run`` drives the same Dagster assets that the UI and the daemon do, in this process, with
its history kept in the output folder unless ``DAGSTER_HOME`` names another place.
"""

import os
import sys
from pathlib import Path
from typing import Literal, get_args

import click
from rich.console import Console
from rich.table import Table

from assets.options import config_option, out_option
from datagen.errors import DatagenError
from schemas import ContractError

try:
    from assets.journal_command import journal
    from assets.publish_command import publish
    from assets.report_command import report
    from assets.review_command import review
    from assets.shards_command import shards
    from datagen.config import Settings, load_settings
    from datagen.seeds import Format
except DatagenError as error:
    # A taxonomy of the user's own is read with the factors, before there is a command to run.
    sys.exit(f"error: {error}")

console = Console()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="datagen")
def cli() -> None:
    """Turn human chains of thought into verified, step-labelled reasoning datasets."""


def main() -> None:
    """Run the command; errors of ours become one line on stderr and exit status 1."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nStopped. Run the same command again to go on where it was.", err=True)
        sys.exit(130)
    except (DatagenError, ContractError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


@cli.command()
@click.option("--seeds", metavar="SOURCE", help="File, folder or Hub name; default: demo seeds.")
@click.option("--format", "seed_format", type=click.Choice(get_args(Format)), help="Its layout.")
@out_option
@config_option
@click.option("--limit", type=click.IntRange(min=1), help="Most seeds to read.")
@click.option("--model", metavar="MODEL", help="Model folder or Hub name; default: embedded.")
def run(
    seeds: str | None,
    seed_format: str | None,
    out: Path,
    config: Path | None,
    limit: int | None,
    model: str | None,
) -> None:
    """Make datasets from seeds. Interrupted, the same command goes on where it was."""
    settings = load_settings(
        config,
        seeds={"path": seeds, "format": seed_format, "limit": limit},
        engine={"model": model},
    )
    # Dagster and torch take seconds to import; nobody should wait for them to see --help.
    from assets.console import RunDisplay, summary
    from assets.materialize import materialize
    from assets.progress import listening

    # Dagster redirects standard output while a step runs; a copy of it stays with the terminal.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as terminal:
        screen = Console(file=terminal)
        with RunDisplay(screen) as display, listening(display):
            materialize(settings, out)
        screen.print(summary(out, settings, display))


@cli.command()
@click.argument("id")
@out_option
@click.option("--rollouts", is_flag=True, help="Print the texts of the rollouts too.")
def show(id: str, out: Path, rollouts: bool) -> None:
    """Draw a search tree, trace or thought. ID: of a seed, prefix, node, rollout, trace, task."""
    from assets.console import load_tables
    from datagen.show import draw_tree

    console.print(draw_tree(load_tables(out), id, rollouts=rollouts))


@cli.command()
@out_option
def doctor(out: Path) -> None:
    """Say what this machine has, and what is missing."""
    from datagen.doctor import examine, render

    findings = examine(out)
    console.print(render(findings))
    if any(finding.status == "missing" for finding in findings):
        sys.exit(1)


@cli.group()
def bench() -> None:
    """Measure what this project claims."""


@bench.command("labels")
@click.option("--quick", is_flag=True, help="Under a minute; wide intervals.")
@click.option("--traces", type=click.IntRange(min=4), help="Wrong traces of each kind.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/bench"), show_default=True
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
def bench_labels(quick: bool, traces: int | None, out: Path, json_path: Path | None) -> None:
    """First errors: ours against OmegaPRM and Math-Shepherd, by accuracy and tokens.

    Runs on the embedded reasoner, whose world knows the true first error of every trace. A run that
    was interrupted goes on from its journal in the output folder.
    """
    from assets.console import quieten_transformers
    from assets.label_bench import run_label_bench

    quieten_transformers()
    run_label_bench(console, out=out, quick=quick, n_traces=traces, json_path=json_path)


@bench.command("engine")
@click.option(
    "--engine",
    "kind",
    type=click.Choice(["transformers", "vllm"]),
    help="Engine to measure; default: transformers, or vllm with --shape.",
)
@click.option(
    "--shape",
    type=click.Choice(["7b", "tiny"]),
    help="A model of this size with random weights, on vllm; 7b needs a GPU.",
)
@click.option("--quick", is_flag=True, help="About a minute; small sizes.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/bench"), show_default=True
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
def bench_engine(
    kind: Literal["transformers", "vllm"] | None,
    shape: Literal["7b", "tiny"] | None,
    quick: bool,
    out: Path,
    json_path: Path | None,
) -> None:
    """Speed: the pipeline against its engine alone, one problem at a time, and generate.

    Every figure is a ratio of two rates measured in this run. Close other programs first.
    """
    from assets.console import quieten_transformers
    from assets.engine_bench import run_engine_bench

    quieten_transformers()
    kind = kind or ("vllm" if shape else "transformers")
    run_engine_bench(console, out=out, kind=kind, shape=shape, quick=quick, json_path=json_path)


@bench.command("code")
@click.option("--quick", is_flag=True, help="About a minute; wide intervals.")
@click.option("--functions", type=click.IntRange(min=1), help="How many to write thoughts about.")
@click.option(
    "--humaneval",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of HumanEval's format, for the narrator; no rows are shipped.",
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings, a datagen.toml.")
@click.option("--engine", "kind", type=click.Choice(["transformers", "vllm"]), help="Engine.")
@click.option("--model", metavar="MODEL", help="Model folder or Hub name; default: embedded.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/bench"), show_default=True
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
def bench_code(
    quick: bool,
    functions: int | None,
    humaneval: Path | None,
    config: Path | None,
    kind: Literal["transformers", "vllm"] | None,
    model: str | None,
    out: Path,
    json_path: Path | None,
) -> None:
    """Code: are thoughts verified, are their claims true, are planted errors found?

    Runs on functions of the embedded reasoner's world that it was not trained on. A run that was
    interrupted goes on from its journal in the output folder.
    """
    settings = load_settings(config, engine={"kind": kind, "model": model})
    from assets.code_bench import run_code_bench
    from assets.console import quieten_transformers

    quieten_transformers()
    run_code_bench(
        console,
        settings,
        out=out,
        quick=quick,
        n_functions=functions,
        humaneval=humaneval,
        json_path=json_path,
    )


@bench.command("search")
@click.option("--quick", is_flag=True, help="Minutes; leaves out the trained model and variants.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/bench"), show_default=True
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
def bench_search(quick: bool, out: Path, json_path: Path | None) -> None:
    """Search: different right traces per generated token, on hard questions.

    By the search over thought factors, by plain sampling with the same tokens, and by the search
    under a policy and value that were trained on its own trees.
    """
    from assets.search_bench import run_search_bench

    run_search_bench(console, out=out, quick=quick, json_path=json_path)


@bench.command("factors")
@click.option("--quick", is_flag=True, help="Seconds; leaves out styles that it never saw.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/bench"), show_default=True
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
@click.option(
    "--plot", "plot_path", type=click.Path(path_type=Path), help="Write the confusion matrix here."
)
def bench_factors(quick: bool, out: Path, json_path: Path | None, plot_path: Path | None) -> None:
    """Factors: how well the classifier tells what a step does, by labelled steps.

    Measured on documents that it was not trained on.
    """
    from assets.factor_bench import run_factor_bench

    run_factor_bench(console, out=out, quick=quick, json_path=json_path, plot_path=plot_path)


@bench.command("curate")
@click.option("--quick", is_flag=True, help="A tenth of the rows.")
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    help="JSONL of questions that people wrote, to be wrongly accused; default: shipped ones.",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
def bench_curate(quick: bool, questions: Path | None, json_path: Path | None) -> None:
    """Curation: time and memory of 100,000 traces from tables to files, and what it finds.

    Benchmark questions and near-duplicates are planted among questions of a made-up world.
    """
    from assets.curate_bench import run_curate_bench

    run_curate_bench(console, quick=quick, json_path=json_path, questions=questions)


@bench.command("review")
@click.option("--quick", is_flag=True, help="About a minute; wide intervals.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/bench"), show_default=True
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
def bench_review(quick: bool, out: Path, json_path: Path | None) -> None:
    """Review: wrong labels that people find by the queue, against as many traces at random.

    People are played by the oracle of the embedded reasoner's world, which knows every first error.
    """
    from assets.review_bench import run_review_bench

    run_review_bench(console, out=out, quick=quick, json_path=json_path)


@bench.command("downstream")
@click.option("--quick", is_flag=True, help="About five minutes; wide intervals.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/bench/downstream"),
    show_default=True,
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
@click.option(
    "--plot", "plot_path", type=click.Path(path_type=Path), help="Write the scaling curve here."
)
def bench_downstream(
    quick: bool, out: Path, json_path: Path | None, plot_path: Path | None
) -> None:
    """Downstream: what students and verifiers learn from the data, on unseen questions.

    Students on our data against students on rejection samples, process reward models on our labels
    against those of Math-Shepherd and OmegaPRM, a few steps of GRPO, and a second round. A run that
    was interrupted goes on from its output folder.
    """
    from assets.console import quieten_transformers
    from assets.downstream_bench import run_downstream_bench

    quieten_transformers()
    run_downstream_bench(console, out=out, quick=quick, json_path=json_path, plot_path=plot_path)


cli.add_command(journal)
cli.add_command(publish)
cli.add_command(report)
cli.add_command(review)
cli.add_command(shards)


@cli.command()
def config() -> None:
    """List every setting with its default."""
    table = Table("setting", "default", "meaning", box=None, header_style="bold")
    for name, default, meaning in Settings().table():
        table.add_row(name, default, meaning)
    console.print(table)
