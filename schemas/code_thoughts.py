"""Contract of the ``code_thoughts`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract
from schemas.vocabulary import CLAIM_KINDS, CLAIM_VERDICTS, ROUTES, STEP_CHECKS


class CodeThought(Contract):
    """Chains of thought that lead to a program, each claim of theirs compared with its run.

    One row = one thought, revisions included. Primary key: ``thought_id``. Failed thoughts stay,
    with the reasons why they failed.
    """

    table = "code_thoughts"

    thought_id = dy.String(primary_key=True, min_length=1, description="Identifies the thought.")
    seed_id = dy.String(min_length=1, description="The code seed.")
    route = Choice(
        ROUTES, description="Who wrote it: a model, a model with a run in view, the narrator."
    )
    thought_idx = dy.Int32(min=0, description="0-based index among the thoughts of seed and route.")
    attempt = dy.Int32(min=0, description="0 for the first writing, then the revisions.")
    revises = dy.String(nullable=True, description="The thought_id of the attempt before.")
    question = dy.String(min_length=1, description="What is asked for.")
    code = dy.String(min_length=1, description="The seed's own program.")
    steps = dy.List(dy.String(), description="The thought, step by step; none if unreadable.")
    factors = dy.List(dy.String(), description="Thought factor that each step performs.")
    step_checks = dy.List(
        Choice(STEP_CHECKS), description="Whether the step's claims agree with the run."
    )
    claims = dy.List(
        dy.Struct(
            {
                "step_idx": dy.Int32(min=0, description="The step that makes the claim."),
                "kind": Choice(CLAIM_KINDS, description="What is claimed."),
                "text": dy.String(description="The words."),
                "subject": dy.String(description="Variable, call or expression."),
                "value": dy.String(description="Its value, by the thought."),
                "verdict": Choice(CLAIM_VERDICTS, description="What the run says of it."),
                "actual": dy.String(nullable=True, description="Its value, by the run."),
            }
        ),
        description="Every claim that could be compared with a run, or ought to be.",
    )
    first_error = dy.Int32(min=-1, description="First step with a false claim; -1: none has one.")
    leak = dy.String(
        nullable=True, description="Words that betray that the code was there first; null: none."
    )
    n_round_trips = dy.Int32(min=0, description="Programs written from question and thought.")
    n_passed = dy.Int32(min=0, description="How many of those pass the seed's tests.")
    n_bare = dy.Int32(min=0, description="Programs written from the question alone.")
    n_bare_passed = dy.Int32(min=0, description="How many of those pass.")
    sufficiency = dy.Float64(
        nullable=True, description="n_passed / n_round_trips - n_bare_passed / n_bare."
    )
    regenerated = dy.String(
        nullable=True, description="A program written from the thought, one that fails if any does."
    )
    verified = dy.Bool(description="Whether every check was passed.")
    reasons = dy.List(dy.String(), description="Why it failed; none if it is verified.")
    n_tokens = dy.Int64(min=0, description="Tokens generated for it, round trips included.")
    engine = dy.String(
        nullable=True, description="Fingerprint of the engine; null where none wrote it."
    )
    completion_key = dy.String(nullable=True, description="Journal key of the thought's text.")

    @dy.rule()
    def one_entry_per_step(cls) -> pl.Expr:
        """Lists must have one length: steps, factors and step_checks."""
        n_steps = cls.steps.col.list.len()
        return (cls.factors.col.list.len() == n_steps) & (cls.step_checks.col.list.len() == n_steps)

    @dy.rule()
    def verified_without_reasons(cls) -> pl.Expr:
        """Reasons must be empty if verified is true, and only then."""
        return cls.verified.col == (cls.reasons.col.list.len() == 0)

    @dy.rule()
    def verified_means_no_false_claim(cls) -> pl.Expr:
        """A verified thought has no first_error and no leak."""
        return ~cls.verified.col | ((cls.first_error.col == -1) & cls.leak.col.is_null())

    @dy.rule()
    def counts_within_samples(cls) -> pl.Expr:
        """n_passed must not exceed n_round_trips, nor n_bare_passed n_bare."""
        return (cls.n_passed.col <= cls.n_round_trips.col) & (
            cls.n_bare_passed.col <= cls.n_bare.col
        )
