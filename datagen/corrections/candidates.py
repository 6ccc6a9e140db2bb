"""The whole traces of each question, right and wrong, with what speaks for and against them.

Rollouts and judges err, and one right step that is called wrong spoils a correction. So a wrong
trace is only used if two independent witnesses name the same step, or arithmetic proves it; and no
step is called wrong that some right trace of the question makes as well.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from datagen.corrections.statements import proven_wrong, statement
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step, Trace
from datagen.traces.rows import trace_of

MENDING: Final = frozenset(
    {Factor.DETECT_ERROR, Factor.CORRECT_ERROR, Factor.BACKTRACK, Factor.SWITCH_APPROACH}
)
"""Factors of steps that speak of errors; a trace without any runs straight."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole trace.

    Attributes:
        name: its ``trace_id``, or for a probe its ``rollout_id``.
        row: its row in the columns of ``traces``.
        trace: the trace.
        n_given: leading steps that the policy did not write in one go with the rest.
        first_error: 0-based index of a step that is certainly wrong; ``None``: nobody knows one.
        n_good: leading steps that are believed to be good.
    """

    name: str
    row: Mapping[str, Any]
    trace: Trace
    n_given: int
    first_error: int | None = None
    n_good: int = 0

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps."""
        return self.trace.steps

    def label(self, idx: int) -> bool | None:
        """Whether a step of this wrong trace is good; ``None`` if nobody knows.

        Of what follows a first error nothing is to be trusted, as in ``step_labels``.
        """
        if idx < self.n_good:
            return True
        is_bad = idx == self.first_error or (self.n_good == self.first_error)
        return False if is_bad or idx == len(self.steps) - 1 else None


@dataclass(frozen=True, slots=True)
class Question:
    """What was left behind of one question.

    Attributes:
        seed_id: the seed.
        right: right traces that run straight and that nobody doubts.
        wrong: wrong traces.
        true: what steps of the right ones state.
    """

    seed_id: str
    right: Sequence[Whole]
    wrong: Sequence[Whole]
    true: frozenset[Hashable]


def questions(
    traces: pl.DataFrame,
    rollouts: pl.DataFrame,
    probes: pl.DataFrame,
    trace_labels: pl.DataFrame,
    critiques: pl.DataFrame,
) -> Iterator[Question]:
    """The questions that have right and wrong traces by the model, in the order of ``traces``."""
    known = _known(traces, rollouts, probes, trace_labels, critiques)
    for group in known.partition_by("seed_id", maintain_order=True):
        wholes = [(row, _whole(row, traces.columns)) for row in group.iter_rows(named=True)]
        right = [whole for row, whole in wholes if _is_trusted(row, whole)]
        wrong = [whole for row, whole in wholes if row["outcome"] == "wrong"]
        if right and wrong:
            stated = (statement(step.text) for whole in right for step in whole.steps)
            yield Question(group["seed_id"][0], right, wrong, frozenset(filter(None, stated)))


def _known(
    traces: pl.DataFrame,
    rollouts: pl.DataFrame,
    probes: pl.DataFrame,
    trace_labels: pl.DataFrame,
    critiques: pl.DataFrame,
) -> pl.DataFrame:
    """Traces by the model and probes that make new ones, with what is known of each."""
    own = traces.filter(pl.col("provenance") == "model")
    drawn = rollouts.select("rollout_id", "n_given_steps")
    accused = critiques.filter(pl.col("first_error") >= 0)["trace_id"].unique()
    told = own.join(drawn, on="rollout_id", how="left", maintain_order="left").join(
        trace_labels.select("trace_id", "first_error", "verified"),
        on="trace_id",
        how="left",
        maintain_order="left",
    )
    known = pl.concat([told, _probed(own, probes)], how="diagonal_relaxed").filter(
        pl.col("outcome").is_in(["correct", "wrong"]), pl.col("answer").is_not_null()
    )
    return known.unique(
        ["seed_id", "steps", "factors", "answer"], keep="first", maintain_order=True
    ).with_columns(
        accused=pl.col("trace_id").is_in(accused.implode())
        | (pl.col("first_error") >= 0).fill_null(False)
    )


def _probed(own: pl.DataFrame, probes: pl.DataFrame) -> pl.DataFrame:
    """Probes in the columns of ``traces``, and ``n_given_steps``."""
    origins = own.select("prefix_id", "question", "n_human_steps").unique("prefix_id")
    n_steps, n_human = pl.col("steps").list.len(), pl.col("n_human_steps")
    whole = probes.filter(pl.col("tail") == "", pl.col("steps").list.len() > 0).join(
        origins, on="prefix_id", how="inner", maintain_order="left"
    )
    return whole.with_columns(
        trace_id=pl.col("rollout_id"),
        node_id=pl.lit(None, pl.String),
        step_provenance=pl.concat_list(
            pl.lit("human").repeat_by(n_human), pl.lit("model").repeat_by(n_steps - n_human)
        ),
        provenance=pl.lit("model"),
        markup=pl.lit(""),
    ).select(*own.columns, "n_given_steps")


def _whole(row: Mapping[str, Any], columns: Sequence[str]) -> Whole:
    trace = trace_of(row)
    n_given = row["n_given_steps"]
    first, n_good = proven_wrong(trace), 0
    if row["verified"] and row["first_error"] >= 0:
        first = n_good = row["first_error"]
    return Whole(
        row["trace_id"],
        {name: row[name] for name in columns},
        trace,
        len(trace.steps) if n_given is None else n_given,
        first,
        n_good,
    )


def _is_trusted(row: Mapping[str, Any], whole: Whole) -> bool:
    """Whether a right trace runs straight, and neither arithmetic, rollouts nor judges object."""
    if row["outcome"] != "correct" or row["accused"]:
        return False
    return whole.first_error is None and MENDING.isdisjoint(step.factor for step in whole.steps)
