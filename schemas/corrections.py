"""Contract of the ``corrections`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.traces import Trace

CorrectionKind = Literal["splice", "attempts"]
"""Whether single wrong branches were set into a right trace, or whole attempts before it."""

StepRole = Literal["right", "wrong", "detect", "correct", "backtrack"]
"""What a step of a correction is there for."""

CORRECTION_KINDS: Final[tuple[CorrectionKind, ...]] = get_args(CorrectionKind)
STEP_ROLES: Final[tuple[StepRole, ...]] = get_args(StepRole)

_PLOT: Final = r"^(right )*((wrong )+detect (correct |backtrack )?(right )*)+$"
"""The roles of a correction in order, each with a space behind it."""


class Correction(Trace):
    """Traces that go wrong, notice it, mend it and end right, made of what a search left behind.

    All columns of ``traces``, so that both can be exported together, and where each part came from.
    One row = one trace. Primary key: ``trace_id``. The columns ``prefix_id``, ``rollout_id`` and
    ``n_human_steps`` are those of the right trace that it follows to its end.
    """

    table = "corrections"

    kind = Choice(
        CORRECTION_KINDS,
        description='"splice": wrong branches in a right trace; "attempts": whole wrong traces.',
    )
    n_attempts = dy.Int32(min=1, max=4, description="Wrong attempts that it holds.")
    wrong_trace_ids = dy.List(
        dy.String(), description="Where each attempt is from: a trace_id, or a probe's rollout_id."
    )
    right_trace_id = dy.String(
        min_length=1, description="Where the right steps are from: likewise one of the two."
    )
    edit_distances = dy.List(
        dy.Int32(min=0),
        description="Steps to insert, delete or replace from each wrong trace to the right one.",
    )
    step_roles = dy.List(Choice(STEP_ROLES), description="What each step is there for.")
    step_labels = dy.List(
        dy.Bool(nullable=True), description="Whether each step is good; null: nobody knows."
    )
    attempt_idx = dy.List(
        dy.Int32(min=-1), description="0-based attempt that each step is of; -1: of none."
    )

    @dy.rule()
    def ends_right(cls) -> pl.Expr:
        """The outcome must be correct."""
        return cls.outcome.col == "correct"

    @dy.rule()
    def one_role_label_and_attempt_per_step(cls) -> pl.Expr:
        """Lists must have one length: steps, step_roles, step_labels and attempt_idx."""
        n_steps = cls.steps.col.list.len()
        lists = (cls.step_roles.col, cls.step_labels.col, cls.attempt_idx.col)
        return pl.all_horizontal(column.list.len() == n_steps for column in lists)

    @dy.rule()
    def one_trace_and_distance_per_attempt(cls) -> pl.Expr:
        """wrong_trace_ids, edit_distances and the attempts of the steps must be n_attempts."""
        n = cls.n_attempts.col
        counts = (
            cls.wrong_trace_ids.col.list.len(),
            cls.edit_distances.col.list.len(),
            cls.attempt_idx.col.list.max() + 1,
        )
        return pl.all_horizontal(count.cast(pl.Int32) == n for count in counts)

    @dy.rule()
    def every_error_is_detected(cls) -> pl.Expr:
        """Wrong steps must be followed by a detect step, and right ones must come last."""
        roles = cls.step_roles.col.list.join(" ") + " "
        return roles.str.contains(_PLOT) & roles.str.ends_with("right ")

    @dy.rule()
    def only_wrong_steps_are_of_attempts(cls) -> pl.Expr:
        """attempt_idx must be -1 but for wrong steps, as many as there are."""
        idx = cls.attempt_idx.col.list
        return idx.len() - idx.count_matches(-1) == cls.step_roles.col.list.count_matches("wrong")

    @dy.rule()
    def every_attempt_has_a_bad_step(cls) -> pl.Expr:
        """At least n_attempts steps must be labelled false."""
        bad = cls.step_labels.col.list.count_matches(False)
        return bad.cast(pl.Int32) >= cls.n_attempts.col
