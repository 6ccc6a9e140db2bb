"""Contract of the ``code_tasks`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import Choice, verifier_column
from schemas.contract import Contract
from schemas.vocabulary import CODE_TASKS


class CodeTask(Contract):
    """What programs give to be solved: writing them, foretelling a result, finding an input.

    One row = one question whose answer is decided by running code. Primary key: ``task_id``. The
    answers of prediction tasks were found by execution, and so was the thought that leads there.
    """

    table = "code_tasks"

    task_id = dy.String(primary_key=True, min_length=1, description="Identifies the task.")
    seed_id = dy.String(min_length=1, description="The code seed.")
    source = dy.String(description="Where the seed was read from.")
    license = dy.String(description="Licence of the source.")
    kind = Choice(CODE_TASKS, description="What is asked for: program, output or input.")
    question = dy.String(min_length=1, description="The question.")
    steps = dy.List(dy.String(), description="A thought that leads to the answer; may be empty.")
    factors = dy.List(dy.String(), description="Thought factor that each step performs.")
    answer = dy.String(min_length=1, description="A right answer.")
    gold = dy.String(min_length=1, description="What the verifier compares answers with.")
    verifier = verifier_column("How answers are judged.")

    @dy.rule()
    def one_factor_per_step(cls) -> pl.Expr:
        """The lists factors and steps must have the same length."""
        return cls.factors.col.list.len() == cls.steps.col.list.len()
