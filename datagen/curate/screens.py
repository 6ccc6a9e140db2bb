"""What can be seen of a question by itself: how long it is, and in which language."""

import polars as pl

from datagen.curate.language import language_of, refuse_unknown_languages
from datagen.curate.rows import as_rejections
from datagen.curate.words import words
from schemas import Rejection, RejectionKind


def wrong_length(
    items: pl.DataFrame, *, min_words: int, max_words: int | None, what: str, kind: RejectionKind
) -> pl.DataFrame:
    """Items whose text has too few or too many words.

    Args:
        items: ``id``, ``seed_id`` and ``text``.
        min_words: fewest words.
        max_words: most words; ``None``: any number.
        what: what the text is, for the reason, e.g. ``question``.
        kind: what the items are.

    Returns:
        Rows of ``rejections`` of rule ``length``, in the order of ``items``.
    """
    n_words = words(pl.col("text")).list.len()
    bounds = f"at least {min_words}" if max_words is None else f"{min_words} to {max_words}"
    too_many = pl.lit(False) if max_words is None else pl.col("n") > max_words
    found = (
        items.select("id", n=n_words)
        .filter((pl.col("n") < min_words) | too_many)
        .select("id", reason=pl.format(f"its {what} has {{}} words; kept are {bounds}", "n"))
    )
    return as_rejections(found, items, rule="length", kind=kind)


def foreign_language(items: pl.DataFrame, *, languages: tuple[str, ...]) -> pl.DataFrame:
    """Questions in another language than those wanted; one that cannot be told is wanted.

    Args:
        items: ``id``, ``seed_id`` and ``text``.
        languages: ISO 639-1 codes; empty: any language is wanted.

    Returns:
        Rows of ``rejections`` of rule ``language``, in the order of ``items``.

    Raises:
        ConfigError: if one of ``languages`` is unknown.
    """
    if not languages:
        return Rejection.empty()
    refuse_unknown_languages(languages)
    wanted = ", ".join(languages)
    found = (
        items.select("id", code=language_of(pl.col("text")))
        .filter(~pl.col("code").is_in(languages))
        .select("id", reason=pl.format(f"it is written in {{}}; kept are {wanted}", "code"))
    )
    return as_rejections(found, items, rule="language", kind="question")
