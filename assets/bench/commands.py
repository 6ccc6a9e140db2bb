"""``datagen bench``: a command for each benchmark, which runs it and shows what it measured.

The benchmarks themselves are in :mod:`datagen.bench`. Those that load torch or Dagster are imported
by their command: ``--help`` should not wait for them.
"""

from pathlib import Path
from typing import Literal

import click
from rich.console import Console

from datagen.config import load_settings

_out = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/bench"), show_default=True
)
_json = click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)

console = Console()


@click.group()
def bench() -> None:
    """Measure what this project claims."""


@bench.command("labels")
@click.option("--quick", is_flag=True, help="Under a minute; wide intervals.")
@click.option("--traces", type=click.IntRange(min=4), help="Wrong traces of each kind.")
@_out
@_json
def bench_labels(quick: bool, traces: int | None, out: Path, json_path: Path | None) -> None:
    """First errors: ours against OmegaPRM and Math-Shepherd, by accuracy and tokens.

    Runs on the embedded reasoner, whose world knows the true first error of every trace. A run that
    was interrupted goes on from its journal in the output folder.
    """
    from assets.bench.labels import run_label_bench
    from assets.commands.console import quieten_transformers

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
@_out
@_json
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
    from assets.bench.engine import run_engine_bench
    from assets.commands.console import quieten_transformers

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
@_out
@_json
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
    from assets.bench.code import run_code_bench
    from assets.commands.console import quieten_transformers

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
@_out
@_json
def bench_search(quick: bool, out: Path, json_path: Path | None) -> None:
    """Search: different right traces per generated token, on hard questions.

    By the search over thought factors, by plain sampling with the same tokens, and by the search
    under a policy and value that were trained on its own trees.
    """
    from assets.bench.search import run_search_bench

    run_search_bench(console, out=out, quick=quick, json_path=json_path)


@bench.command("factors")
@click.option("--quick", is_flag=True, help="Seconds; leaves out styles that it never saw.")
@_out
@_json
@click.option(
    "--plot", "plot_path", type=click.Path(path_type=Path), help="Write the confusion matrix here."
)
def bench_factors(quick: bool, out: Path, json_path: Path | None, plot_path: Path | None) -> None:
    """Factors: how well the classifier tells what a step does, by labelled steps.

    Measured on documents that it was not trained on.
    """
    from assets.bench.factors import run_factor_bench

    run_factor_bench(console, out=out, quick=quick, json_path=json_path, plot_path=plot_path)


@bench.command("curate")
@click.option("--quick", is_flag=True, help="A tenth of the rows.")
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    help="JSONL of questions that people wrote, to be wrongly accused; default: shipped ones.",
)
@_json
def bench_curate(quick: bool, questions: Path | None, json_path: Path | None) -> None:
    """Curation: time and memory of 100,000 traces from tables to files, and what it finds.

    Benchmark questions and near-duplicates are planted among questions of a made-up world.
    """
    from assets.bench.curate import run_curate_bench

    run_curate_bench(console, quick=quick, json_path=json_path, questions=questions)


@bench.command("review")
@click.option("--quick", is_flag=True, help="About a minute; wide intervals.")
@_out
@_json
def bench_review(quick: bool, out: Path, json_path: Path | None) -> None:
    """Review: wrong labels that people find by the queue, against as many traces at random.

    People are played by the oracle of the embedded reasoner's world, which knows every first error.
    """
    from assets.bench.review import run_review_bench

    run_review_bench(console, out=out, quick=quick, json_path=json_path)


@bench.command("downstream")
@click.option("--quick", is_flag=True, help="About five minutes; wide intervals.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/bench/downstream"),
    show_default=True,
)
@_json
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
    from assets.bench.downstream import run_downstream_bench
    from assets.commands.console import quieten_transformers

    quieten_transformers()
    run_downstream_bench(console, out=out, quick=quick, json_path=json_path, plot_path=plot_path)
