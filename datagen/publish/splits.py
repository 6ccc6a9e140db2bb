"""Which rows of a config are published in which split.

The surprising fact: a dataset does not choose its splits. They are of questions, and every row goes
where its question is, in every config alike; so nothing that a model is tested on stands in another
config's training data.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from datagen.errors import PublishError
from datagen.publish.configs import CONFIGS
from schemas import SPLITS, Question, Split

_IDS: Final = ("question_id", "seed_id")
"""What names a question; the second is what rows about a program go by."""

_MAX_EXAMPLES: Final = 3


def splits_of_rows(
    tables: Mapping[str, pl.DataFrame], questions: pl.DataFrame
) -> dict[str, pl.Series]:
    """The split of each row, ``(n_rows,)``, by config.

    Args:
        tables: config → table.
        questions: table ``questions``.

    Raises:
        PublishError: if a row is of a question that is not listed, or a row of ``rl`` says
            otherwise than the questions do.
        ContractError: if the questions break their contract.
    """
    known = _known(questions)
    found = {name: _splits(name, table, known) for name, table in tables.items()}
    if "rl" in tables:
        _refuse_other_splits(tables["rl"], found["rl"])
    return found


def parts(splits: pl.Series) -> dict[Split, pl.Series]:
    """Which rows are in each split that has any: a mask of the rows, in the order of splits."""
    masks: dict[Split, pl.Series] = {name: splits == name for name in SPLITS}
    return {name: mask for name, mask in masks.items() if mask.any()}


def _known(questions: pl.DataFrame) -> pl.DataFrame:
    """``id``, ``split``: of every question, and of the seeds that tasks are about."""
    questions = Question.validate(questions)
    ids = [questions.select(pl.col(name).alias("id"), "split") for name in _IDS]
    return pl.concat(ids).unique("id", keep="first", maintain_order=True)


def _splits(config: str, table: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    ids = table.select(id=CONFIGS[config].seed())
    found = ids.join(known, on="id", how="left", maintain_order="left")
    lost = found.filter(pl.col("split").is_null())["id"].unique(maintain_order=True)
    if len(lost):
        shown = ", ".join(repr(name) for name in lost.head(_MAX_EXAMPLES))
        raise PublishError(
            f"{config}: {len(lost)} of the questions are not in the table questions: {shown}; "
            "make it anew from the seeds that these rows came from"
        )
    return found["split"]


def _refuse_other_splits(rl: pl.DataFrame, splits: pl.Series) -> None:
    """Raise if rows name another split than their question has, or another place in it."""
    info = rl["extra_info"].struct
    rows = pl.DataFrame({"split": splits}).select(
        "split", index=pl.int_range(pl.len(), dtype=pl.Int64).over("split")
    )
    told = pl.DataFrame([info.field("seed_id"), info.field("split"), info.field("index")])
    wrong = told.filter((told["split"] != rows["split"]) | (told["index"] != rows["index"]))
    if wrong.height:
        seed_id, split, index = wrong.row(0)
        raise PublishError(
            f"rl: {wrong.height} of {rl.height} rows name another split, or another place in it, "
            f"than the table questions gives them, first: seed_id={seed_id!r} split={split!r} "
            f"index={index!r}; export rl anew with these questions"
        )
