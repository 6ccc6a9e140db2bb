"""Contract of the ``step_labels`` table."""

from typing import Final

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract
from schemas.vocabulary import LABEL_SOURCES, PROVENANCES

_ROUNDING: Final = 1e-9
"""A Wilson bound at 0 or n successes misses 0 or 1 by a rounding error."""


class StepLabel(Contract):
    """What is known of each step: rollouts that went on from it, and the label they support.

    One row = one step of one trace. Primary key: ``trace_id``, ``step_idx``.
    """

    table = "step_labels"

    trace_id = dy.String(primary_key=True, min_length=1, description="The trace.")
    seed_id = dy.String(min_length=1, description="The seed whose question the trace answers.")
    step_idx = dy.Int32(primary_key=True, min=0, description="0-based index of the step.")
    factor = dy.String(description="Thought factor that the step performs.")
    text = dy.String(description="Text of the step.")
    provenance = Choice(PROVENANCES, description="Who wrote the step.")
    step_source = dy.String(
        description="What it came from: seed_id#step_idx, or a journal completion key."
    )
    n_trials = dy.Int64(min=0, description="On-policy rollouts that went on from this step.")
    n_successes = dy.Int64(min=0, description="How many of those ended correct.")
    mc_value = dy.Float64(
        nullable=True, min=0, max=1, description="n_successes / n_trials; null without trials."
    )
    wilson_low = dy.Float64(nullable=True, description="Lower end of mc_value's Wilson interval.")
    wilson_high = dy.Float64(nullable=True, description="Upper end of mc_value's Wilson interval.")
    surprisal = dy.Float64(
        nullable=True,
        min=0,
        description="Least probable token of its words, -log p in nats; null: not measured.",
    )
    action_surprisal = dy.Float64(
        nullable=True, min=0, description="The same of its opening tag, its thought factor."
    )
    p_before_error = dy.Float64(
        nullable=True,
        description="Probability that the first error comes later, or never; null: not measured. "
        "1 or 0 where people decided.",
    )
    value = dy.Float64(
        nullable=True,
        description="Expected share of right endings from here, all evidence on the trace used; "
        "null as well where people found another first error than it was computed with.",
    )
    advantage = dy.Float64(
        nullable=True, description="How much the step changed value; the first: against the root."
    )
    prover_advantage = dy.Float64(
        nullable=True, description="The same for the prover, the best of k rollouts from here."
    )
    relative_progress = dy.Float64(
        nullable=True, min=0, description="Value after the step divided by value before it."
    )
    hard_label = dy.Bool(nullable=True, description="Whether the step is good; null: nobody knows.")
    confidence = dy.Float64(
        nullable=True, description="Probability that hard_label is true, where it is a posterior's."
    )
    label_source = Choice(LABEL_SOURCES, description="What hard_label rests on.")

    @dy.rule()
    def n_successes_within_n_trials(cls) -> pl.Expr:
        """n_successes must not exceed n_trials."""
        return cls.n_successes.col <= cls.n_trials.col

    @dy.rule()
    def probabilities_within_0_and_1(cls) -> pl.Expr:
        """p_before_error, value and confidence must be from 0 to 1, up to rounding."""
        columns = (cls.p_before_error.col, cls.value.col, cls.confidence.col)
        bounds = [p.is_between(-_ROUNDING, 1 + _ROUNDING).fill_null(True) for p in columns]
        return pl.all_horizontal(bounds)

    @dy.rule()
    def posterior_columns_go_together(cls) -> pl.Expr:
        """What a posterior says must be there if label_source is posterior, and only then.

        People's decisions replace its probabilities, and keep its values if they agree with it.
        """
        measured, decided = (cls.label_source.col == name for name in ("posterior", "human"))
        valued = cls.value.col.is_not_null()
        believed = cls.p_before_error.col.is_not_null() & ~decided
        columns = (believed, cls.confidence.col.is_not_null())
        return (
            pl.all_horizontal(column == measured for column in columns)
            & (valued == cls.advantage.col.is_not_null())
            & ((valued == measured) | decided)
        )

    @dy.rule()
    def people_decide(cls) -> pl.Expr:
        """Where label_source is human, p_before_error must be 1 or 0 as hard_label is."""
        said = cls.hard_label.col.cast(pl.Float64).eq_missing(cls.p_before_error.col)
        known = cls.hard_label.col.is_not_null()
        return (cls.label_source.col != "human") | (said & known)

    @dy.rule()
    def mc_value_null_without_trials(cls) -> pl.Expr:
        """mc_value must be null where n_trials is 0, and only there."""
        return cls.mc_value.col.is_null() == (cls.n_trials.col == 0)

    @dy.rule()
    def interval_holds_mc_value(cls) -> pl.Expr:
        """0 <= wilson_low <= mc_value <= wilson_high <= 1 must hold, up to rounding."""
        low, value, high = cls.wilson_low.col, cls.mc_value.col, cls.wilson_high.col
        checks = [low >= -_ROUNDING, low <= value + _ROUNDING]
        checks += [value <= high + _ROUNDING, high <= 1 + _ROUNDING]
        return pl.all_horizontal(check.fill_null(True) for check in checks)
