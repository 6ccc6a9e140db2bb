"""Contract of the ``rollouts`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import Choice, verifier_column
from schemas.contract import Contract
from schemas.vocabulary import ALGORITHMS, OUTCOMES


class Rollout(Contract):
    """Completions drawn to the end of a trace and verified.

    One row = one completion with its outcome. Primary key: ``rollout_id``, the journal key plus the
    search that drew it, because searches share completions.
    """

    table = "rollouts"

    rollout_id = dy.String(
        primary_key=True,
        min_length=1,
        description="Journal key and search, identifying the rollout.",
    )
    prefix_id = dy.String(min_length=1, description="The prefix that the search started from.")
    seed_id = dy.String(min_length=1, description="The seed of that prefix.")
    node_id = dy.String(
        nullable=True, description="The node it was drawn from; null if its state is in no tree."
    )
    algorithm = Choice(ALGORITHMS, description="The search that asked for it.")
    sample_idx = dy.Int32(min=0, description="0-based index among the samples of the same state.")
    n_given_steps = dy.Int32(
        min=0, description="Steps, human and model, that stood when it was drawn."
    )
    steps = dy.List(dy.String(), description="All steps of the trace, the given ones first.")
    factors = dy.List(dy.String(), description="Thought factor that each step performs.")
    step_source = dy.List(
        dy.String(), description="What each step came from: seed_id#step_idx, or a journal key."
    )
    step_n_tokens = dy.List(dy.Int32(min=0), description="Tokens in each step it wrote itself.")
    step_min_logprob = dy.List(
        dy.Float64(nullable=True, max=0),
        description="Least token log-probability in each step it wrote; null if unknown.",
    )
    sloppy = dy.Bool(description="Whether it left the form asked for, and was repaired in reading.")
    tail = dy.String(description="Text at its end that could not be read as steps.")
    answer = dy.String(nullable=True, description="The answer extracted; null if there is none.")
    gold = dy.String(description="The answer it was compared with.")
    verifier = verifier_column("How the two were compared.")
    outcome = Choice(OUTCOMES, description="The verdict; unverifiable is never counted as wrong.")
    reason = dy.String(description="Why the verdict is what it is.")
    n_tokens = dy.Int64(min=0, description="Tokens generated.")
    temperature = dy.Float64(min=0, description="Sampling temperature.")
    engine = dy.String(min_length=1, description="Fingerprint of the engine that wrote it.")
    completion_key = dy.String(min_length=1, description="Journal key of the completion.")

    @dy.rule()
    def one_entry_per_step(cls) -> pl.Expr:
        """Lists must have one length: steps, factors and step_source."""
        n_steps = cls.steps.col.list.len()
        return (cls.factors.col.list.len() == n_steps) & (cls.step_source.col.list.len() == n_steps)

    @dy.rule()
    def one_entry_per_own_step(cls) -> pl.Expr:
        """step_n_tokens and step_min_logprob must cover the steps that were not given."""
        n_own = cls.steps.col.list.len().cast(pl.Int64) - cls.n_given_steps.col
        return (cls.step_n_tokens.col.list.len().cast(pl.Int64) == n_own) & (
            cls.step_min_logprob.col.list.len().cast(pl.Int64) == n_own
        )

    @dy.rule()
    def decided_outcome_has_an_answer(cls) -> pl.Expr:
        """An outcome of correct or wrong needs an answer that is not null."""
        return ~cls.outcome.col.is_in(["correct", "wrong"]) | cls.answer.col.is_not_null()
