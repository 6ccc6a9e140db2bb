"""Contract of the ``traces`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import Choice, verifier_column
from schemas.contract import Contract
from schemas.vocabulary import OUTCOMES, PROVENANCES


class Trace(Contract):
    """Whole traces, right and wrong, in which every step says where it came from.

    One row = one question with all steps to the end. Primary key: ``trace_id``.
    """

    table = "traces"

    trace_id = dy.String(primary_key=True, min_length=1, description="Identifies the trace.")
    seed_id = dy.String(min_length=1, description="The seed whose question it answers.")
    prefix_id = dy.String(min_length=1, description="The prefix that it continues.")
    rollout_id = dy.String(
        nullable=True, description="The rollout that finished it; null if none did."
    )
    node_id = dy.String(
        nullable=True,
        description="The node that it ends at, if a search put it together; null otherwise.",
    )
    question = dy.String(min_length=1, description="The question.")
    steps = dy.List(dy.String(), description="All steps, from the question to the end.")
    factors = dy.List(dy.String(), description="Thought factor that each step performs.")
    step_provenance = dy.List(Choice(PROVENANCES), description="Who wrote each step.")
    step_source = dy.List(
        dy.String(),
        description="What each step came from: seed_id#step_idx, or a journal completion key.",
    )
    n_human_steps = dy.Int32(min=0, description="Leading steps that a person wrote.")
    answer = dy.String(nullable=True, description="The answer it ends with; null if there is none.")
    gold = dy.String(description="The answer it was compared with.")
    verifier = verifier_column("How the two were compared.")
    outcome = Choice(OUTCOMES, description="The verdict; unverifiable is never counted as wrong.")
    provenance = Choice(PROVENANCES, description="Who wrote the part after the prefix.")
    engine = dy.String(
        nullable=True, description="Fingerprint of the engine; null where none took part."
    )
    markup = dy.String(description="The trace in thought-factor markup, with its answer.")

    @dy.rule()
    def one_entry_per_step(cls) -> pl.Expr:
        """Lists must have one length: steps, factors, step_provenance and step_source."""
        n_steps = cls.steps.col.list.len()
        return (
            (cls.factors.col.list.len() == n_steps)
            & (cls.step_provenance.col.list.len() == n_steps)
            & (cls.step_source.col.list.len() == n_steps)
        )

    @dy.rule()
    def drawn_or_put_together(cls) -> pl.Expr:
        """At most one of rollout_id and node_id may be given."""
        return cls.rollout_id.col.is_null() | cls.node_id.col.is_null()

    @dy.rule()
    def n_human_steps_within_steps(cls) -> pl.Expr:
        """n_human_steps must not exceed the number of steps."""
        return cls.n_human_steps.col <= cls.steps.col.list.len()
