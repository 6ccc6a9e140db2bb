"""The card's section of figures: says in words and tables what ``statistics`` counted."""

from collections.abc import Mapping
from itertools import islice
from typing import Final

import polars as pl

from datagen.publish.markdown import bullets, line, section, share, table
from datagen.publish.statistics import label_statistics, question_statistics, trace_statistics

_TOP_FACTORS: Final = 12


def figures(tables: Mapping[str, pl.DataFrame]) -> str:
    """The section, from whichever of ``traces``, ``prm`` and ``rl`` there are.

    Args:
        tables: config → table with rows.
    """
    parts = [
        describe(tables[name])
        for name, describe in (("traces", _traces), ("prm", _labels), ("rl", _questions))
        if name in tables
    ]
    return section("Statistics", *parts) if parts else ""


def _traces(traces: pl.DataFrame) -> str:
    found = trace_statistics(traces)
    n_generated = sum(found.outcomes.values())
    n_wrong = found.outcomes.get("wrong", 0)
    n_steps = sum(found.factors.values())
    facts = [
        f"{n_generated:,} generated and {found.n_human:,} human traces"
        + (f", {found.n_built:,} put together step by step by a search" if found.n_built else "")
        + (f", and {found.n_code:,} about code" if found.n_code else ""),
        f"Steps per trace: median {found.median_steps:g}, at most {found.max_steps:,}",
    ]
    if n_generated:
        facts += [
            f"Pass rate of generated traces: {share(found.n_correct, found.n_decided)} of the "
            f"{found.n_decided:,} that could be decided (those that go on from human steps "
            "included)",
            f"Wrong traces: {share(n_wrong, n_generated)} of the generated ones",
        ]
    outcomes = [(name, f"{n:,}", share(n, n_generated)) for name, n in found.outcomes.items()]
    factors = [
        (line(name), f"{n:,}", share(n, n_steps))
        for name, n in islice(found.factors.items(), _TOP_FACTORS)
    ]
    n_rest = len(found.factors) - len(factors)
    return "\n\n".join(
        (
            bullets(facts),
            *([table(("outcome", "generated traces", "share"), outcomes)] if outcomes else ()),
            *([table(("thought factor", "steps", "share"), factors)] if factors else ()),
            *([f"{n_rest} more thought factors are rarer."] if n_rest else ()),
        )
    )


def _labels(prm: pl.DataFrame) -> str:
    found = label_statistics(prm)
    facts = [
        f"Labelled steps (`prm`): {found.n_steps:,} in {found.n_rows:,} traces, "
        f"{share(found.n_wrong_steps, found.n_steps)} of them wrong",
        f"Labelled traces that hold a wrong step: {share(found.n_rows_with_error, found.n_rows)}",
    ]
    if found.n_rows_past_error:
        facts.append(
            "Labelled traces that go on after their first wrong step: "
            f"{found.n_rows_past_error:,}; cut there if your trainer should learn nothing from "
            "what follows an error"
        )
    return bullets(facts)


def _questions(rl: pl.DataFrame) -> str:
    found = question_statistics(rl)
    facts = [f"Questions with a verifiable answer (`rl`): {found.n_questions:,}"]
    if found.mean_pass_rate is not None:
        facts.append(
            f"Mean pass rate from the bare question: {100 * found.mean_pass_rate:.1f} % "
            f"({found.n_rollouts:,} rollouts of {found.n_tried:,} questions; "
            f"{found.n_never_solved:,} never solved, {found.n_always_solved:,} always)"
        )
    return bullets(facts)
