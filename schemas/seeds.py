"""Contract of the ``seeds`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import Choice, rubric, verifier_column
from schemas.contract import Contract
from schemas.vocabulary import DOMAINS


class Seed(Contract):
    """Human-annotated questions with their thought and answer, the raw material of everything.

    One row = one question as a person solved it. Primary key: ``seed_id``.
    """

    table = "seeds"

    seed_id = dy.String(primary_key=True, min_length=1, description="Identifies the seed.")
    source = dy.String(description="Where the seed was read from: a file, a dataset, a generator.")
    license = dy.String(
        description="Licence of the source, as an SPDX identifier where it has one."
    )
    domain = Choice(DOMAINS, description="What the question is about.")
    question = dy.String(min_length=1, description="The question as asked.")
    thought = dy.String(min_length=1, description="The whole human thought, before the answer.")
    steps = dy.List(
        dy.String(),
        min_length=1,
        description='The thought cut into steps; joined with "" they are the thought again.',
    )
    factors = dy.List(dy.String(), description="Thought factor that each step performs.")
    answer = dy.String(min_length=1, description="The final answer, taken as gold.")
    verifier = verifier_column("How answers are compared with the gold answer.")
    criteria = rubric(
        "The rubric of a question without a checkable answer; else null.", nullable=True
    )
    facts = dy.List(
        dy.Struct(
            {
                "step_idx": dy.Int32(
                    min=0, description="0-based index of the step that states it."
                ),
                "expression": dy.String(description="What is evaluated, e.g. 3 * 6."),
                "value": dy.String(description="What the step says that it comes to, e.g. 18."),
            }
        ),
        description="Statements inside steps that a checker can decide without a model.",
    )
    meta = dy.String(description="Whatever else the source had, as a JSON object.")

    @dy.rule()
    def steps_join_to_thought(cls) -> pl.Expr:
        """Steps joined with "" must equal the thought, character by character."""
        return cls.steps.col.list.join("") == cls.thought.col

    @dy.rule()
    def one_factor_per_step(cls) -> pl.Expr:
        """The lists factors and steps must have the same length."""
        return cls.factors.col.list.len() == cls.steps.col.list.len()

    @dy.rule()
    def facts_within_steps(cls) -> pl.Expr:
        """Each fact's step_idx must be the index of a step."""
        last = cls.facts.col.list.eval(pl.element().struct.field("step_idx")).list.max()
        return last < cls.steps.col.list.len()

    @dy.rule()
    def criteria_of_rubric_seeds(cls) -> pl.Expr:
        """Criteria must be there if verifier is rubric, and only then."""
        return cls.criteria.col.is_not_null() == (cls.verifier.col == "rubric")
