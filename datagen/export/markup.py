r"""Thought-factor markup for whole tables at once; :mod:`datagen.traces.markup` writes one trace.

The surprising fact: it is the same markup written a second time. A hundred thousand traces have a
million steps, and each would have to become an object of Python and a string again. Tags come from
there; only how a tag inside a text is escaped is said twice, and a test holds the two together.
"""

from typing import Final

import polars as pl

from datagen.factors.taxonomy import Factor
from datagen.prompts.native import QUESTION
from datagen.traces.markup import THINK_START, end_tag, start_tag

_TAG_LIKE: Final = r"<(\\*)(Think_|ACT_)"
_ESCAPED: Final = r"<\${1}${2}"
_START_TAGS: Final = {factor.value: start_tag(factor) for factor in Factor}
_END_TAGS: Final = {factor.value: end_tag(factor) for factor in Factor}


def step_markup(text: str, factor: str) -> pl.Expr:
    """Steps with their tags.

    Args:
        text: column of their texts.
        factor: column of the names of their thought factors; Polars raises for an unknown one.
    """
    return pl.concat_str(
        pl.col(factor).replace_strict(_START_TAGS, return_dtype=pl.String),
        pl.col(text).str.replace_all(_TAG_LIKE, _ESCAPED),
        pl.col(factor).replace_strict(_END_TAGS, return_dtype=pl.String),
    )


def thought_markup(traces: pl.DataFrame) -> pl.Series:
    """The opening tag and all steps, without the closing tag, of each row.

    Args:
        traces: any table with the columns ``steps`` and ``factors``, one factor per step.

    Returns:
        ``(n_rows,)`` strings, in the order of the rows.
    """
    steps = (
        traces.select(pl.int_range(pl.len()).alias("row_idx"), "steps", "factors")
        # A row without a step is one with a null, which joins to nothing.
        .explode("steps", "factors", empty_as_null=True)
        .with_columns(step_markup("steps", "factors").alias("markup"))
    )
    thoughts = steps.group_by("row_idx", maintain_order=True).agg(pl.col("markup").str.join())
    return THINK_START + thoughts["markup"]


def state_markup(states: pl.DataFrame) -> pl.Series:
    """What a policy continues from each state: question and thought, unclosed.

    Args:
        states: any table with the columns ``question``, ``steps`` and ``factors``.
    """
    return QUESTION + states["question"] + "\n" + thought_markup(states)
