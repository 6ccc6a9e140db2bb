"""Measure a process reward model on ProcessBench, or on the dataset ``processbench``.

    datagen run --out out
    python docs/examples/train_prm.py --data out/published --out reward
    python docs/examples/evaluate_prm.py --model reward --data out/published
    python docs/examples/evaluate_prm.py --model reward --data Qwen/ProcessBench --tune-on gsm8k

A step is taken for wrong if its value is below the threshold; F1 is the harmonic mean of the
accuracies on traces with and without a wrong step.
"""

import argparse

import polars as pl

from datagen.errors import ConfigError
from datagen.guides import load_guide
from datagen.guides.processbench import Scores, evaluate_processbench, read_processbench


def line(name: str, found: Scores) -> str:
    """One row of the table."""
    return (
        f"{name[:32]:32}{found.n_erroneous:8}{found.erroneous:8.3f}"
        f"{found.n_correct:8}{found.correct:8.3f}   {found.f1}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measure a process reward model.")
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--data", required=True, help="published folder, Hub name or file")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--tune-on", metavar="SUBSET", help="choose the threshold on this subset")
    options = parser.parse_args(arguments)

    rows, tune_on = read_processbench(options.data), None
    if options.tune_on:
        is_other = pl.col("subset") == options.tune_on
        rows, tune_on = rows.filter(~is_other), rows.filter(is_other)
    guide = load_guide(options.model)
    report = evaluate_processbench(rows, guide, threshold=options.threshold, tune_on=tune_on)

    print(f"threshold {report.threshold:.3f}")
    print(f"{'':32}{'wrong':>8}{'found':>8}{'right':>8}{'passed':>8}   F1 [95 %]")
    for name, found in (*report.by_subset.items(), *report.by_generator.items()):
        print(line(name, found))
    print(line("all", report.overall))


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error
