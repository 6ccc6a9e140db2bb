"""Finds texts that repeat an earlier text, word for word or nearly.

The surprising fact: most texts are never sketched. Two word problems with other numbers are two
questions however alike they sound, so only texts with the same numbers are compared, which leaves
small groups in which every pair is measured exactly. MinHash (``datasketch``) is kept for groups
that are too large for that: it proposes pairs, and these are measured exactly too.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from datagen.curate.sketches import Sketches
from datagen.curate.words import HashedWords, normal_text, numbers_of, words

_GROUP: Final = {"group": pl.UInt32, "first": pl.UInt32}
_32: Final = np.uint64(32)
_SMALL: Final = 32
"""Texts of a group of which all pairs are measured."""

_ROWS_AT_ONCE: Final = 16_384
_ASKED_AT_ONCE: Final = 2_048
_PAIRS_AT_ONCE: Final = 65_536

Fates = dict[int, tuple[int, float]]
"""Rejected row → the kept row that it resembles, and how much."""


def exact_duplicates(
    items: pl.DataFrame, *, text: str, id: str, by: Sequence[str] = ()
) -> pl.DataFrame:
    """Rows that say the same words as an earlier row.

    Args:
        items: the rows; their order says which of two is the earlier one.
        text: the column that is compared, as :func:`~datagen.curate.words.normal_text`. A row
            without any word repeats nothing.
        id: the column of ids.
        by: only rows that are equal in these columns are compared.

    Returns:
        ``id`` and ``other``, the earliest row with these words; in the order of ``items``.
    """
    frame = items.select(*by, id=pl.col(id), words=normal_text(pl.col(text)))
    return (
        frame.filter(pl.col("words").str.len_bytes() > 0)
        .with_columns(other=pl.col("id").first().over([*by, "words"]))
        .filter(pl.int_range(pl.len()).over([*by, "words"]) > 0)
        .select("id", "other")
    )


def near_duplicates(
    items: pl.DataFrame,
    *,
    text: str,
    id: str,
    by: Sequence[str] = (),
    threshold: float = 0.8,
    shingle: int = 2,
    same_numbers: bool = True,
    n_perm: int = 128,
    seed: int = 1,
) -> pl.DataFrame:
    """Rows that resemble an earlier row which is kept.

    Two texts are as alike as the Jaccard similarity of their sets of shingles: all runs of one to
    ``shingle`` words. Single words keep a text alike in which words or sentences have changed
    places, and make texts shorter than a shingle comparable.

    Rows are decided in their order, and one is rejected if and only if it resembles a row that was
    kept, so that every rejected row has a kept one that it resembles. Rows with the same words are
    near-duplicates of score 1.

    Args:
        items: the rows; their order says which of two is the earlier one.
        text: the column that is compared.
        id: the column of ids.
        by: only rows that are equal in these columns are compared.
        threshold: the similarity from which two texts are near-duplicates, above 0, to 1.
        shingle: words of the longest shingle.
        same_numbers: compare only texts with the same :func:`~datagen.curate.words.numbers`, each
            as often.
        n_perm: hash functions of a MinHash sketch (Broder 1997). Only for groups of more than 32
            texts, where a pair at the threshold is found with a probability of about 0.98.
        seed: of these hash functions.

    Returns:
        ``id``, ``other`` (the earliest kept row that it resembles) and ``score`` (the Jaccard
        similarity of the two, exact but for collisions of 32-bit hashes), in the order of
        ``items``.
    """
    frame = _grouped(items, text=text, by=by, same_numbers=same_numbers)
    first = frame.filter(pl.col("row") == pl.col("first"))
    first = first.with_columns(n=pl.len().over("group")).filter(pl.col("n") > 1)
    found: Fates = {}
    for part in _in_parts(first.filter(pl.col("n") <= _SMALL)):
        near = _measured(_all_pairs(part["group"]), _shingle_sets(part["text"], shingle), threshold)
        found |= _decided(near, part["row"])
    large = first.filter(pl.col("n") > _SMALL)
    if large.height:
        found |= _sketched(large, threshold, shingle, n_perm=n_perm, seed=seed)
    fates = pl.DataFrame(
        [(row, *fate) for row, fate in found.items()],
        schema={"first": pl.UInt32, "kept": pl.UInt32, "score": pl.Float64},
        orient="row",
    )
    # A row with the words of an earlier one shares its fate, or repeats it if that one is kept.
    repeats = (
        frame.join(fates, on="first", how="left", maintain_order="left")
        .filter((pl.col("row") != pl.col("first")) | pl.col("kept").is_not_null())
        .with_columns(pl.col("kept").fill_null(pl.col("first")), pl.col("score").fill_null(1.0))
    )
    ids = items[id]
    return pl.DataFrame(
        {
            "id": ids.gather(repeats["row"]),
            "other": ids.gather(repeats["kept"]),
            "score": repeats["score"],
        }
    )


def _grouped(
    items: pl.DataFrame, *, text: str, by: Sequence[str], same_numbers: bool
) -> pl.DataFrame:
    """Of each row with words: ``row``, ``text``, its ``group`` and the ``first`` with its words."""
    parts: list[pl.DataFrame] = []
    for part in items.select(*by, __text=text).with_row_index("__row").iter_slices(_ROWS_AT_ONCE):
        listed = part.with_columns(__listed=words(pl.col("__text")))
        counted = numbers_of(pl.col("__listed")).list.sort().list.join(" ")
        parts.append(
            listed.with_columns(
                __words=pl.col("__listed").list.join(" "),
                __numbers=counted if same_numbers else pl.lit(""),
            )
            .filter(pl.col("__words").str.len_bytes() > 0)
            .drop("__listed")
        )
    if not parts:
        return pl.DataFrame(schema={"row": pl.UInt32, "text": pl.String} | _GROUP)
    row = pl.col("__row")
    return pl.concat(parts).select(
        row=row,
        text="__text",
        group=row.first().over([*by, "__numbers"]),
        first=row.first().over([*by, "__words"]),
    )


def _in_parts(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Whole groups, some thousand rows at a time, each group in the order of its rows."""
    at = pl.int_range(pl.len()).first().over("group")
    ordered = frame.sort("group", "row").with_columns(part=at // _ROWS_AT_ONCE)
    yield from ordered.partition_by("part", maintain_order=True)


def _all_pairs(group: pl.Series) -> pl.DataFrame:
    """Positions ``i`` < ``j`` of each pair of one group."""
    frame = pl.DataFrame({"group": group}).with_row_index("i")
    pairs = frame.join(frame.rename({"i": "j"}), on="group").filter(pl.col("i") < pl.col("j"))
    return pairs.select("i", "j")


def _shingle_sets(texts: pl.Series, shingle: int) -> pl.Series:
    """The shingles of each text, ``list[u32]``, each once; every text has a word."""
    parts: list[pl.Series] = []
    for at in range(0, len(texts), _ROWS_AT_ONCE):
        hashed = HashedWords(texts.slice(at, _ROWS_AT_ONCE))
        keys: list[npt.NDArray[np.uint64]] = []
        for n in range(1, shingle + 1):
            starts, runs = hashed.runs(n)
            # Row and shingle in one number, so that one sort makes all sets.
            keys.append((hashed.rows[starts].astype(np.uint64) << _32) | (runs >> _32))
        sets: Any = np.concatenate(keys)
        sets.sort()
        sets = sets[np.diff(sets, prepend=~sets[:1]) != 0]  # numpy.unique takes ten times as long
        frame = pl.DataFrame({"row": sets >> _32, "set": sets.astype(np.uint32)})
        parts.append(frame.group_by("row", maintain_order=True).agg("set")["set"])
    return pl.concat(parts)


def _measured(pairs: pl.DataFrame, sets: pl.Series, threshold: float) -> pl.DataFrame:
    """The pairs ``i``, ``j`` that are at least as alike as ``threshold``, with their ``score``."""
    sizes = sets.list.len()
    near = [pl.DataFrame(schema={"i": pl.UInt32, "j": pl.UInt32, "score": pl.Float64})]
    for part in pairs.iter_slices(_PAIRS_AT_ONCE):
        of_i, of_j = sizes.gather(part["i"]), sizes.gather(part["j"])
        part = part.with_columns(total=of_i + of_j, least=pl.min_horizontal(of_i, of_j))
        # They cannot share more than the smaller one holds.
        part = part.filter(pl.col("least") >= threshold * (pl.col("total") - pl.col("least")))
        shared = pl.col("a").list.set_intersection("b").list.len()
        near.append(
            part.with_columns(a=sets.gather(part["i"]), b=sets.gather(part["j"]))
            .with_columns(score=shared / (pl.col("total") - shared))
            .filter(pl.col("score") >= threshold)
            .select("i", "j", "score")
        )
    return pl.concat(near)


def _decided(near: pl.DataFrame, rows: pl.Series) -> Fates:
    """Rejects, in order, each text that resembles a kept one; ``rows`` are those of the texts."""
    fates: Fates = {}
    near = near.sort("j", "i")
    named = near.with_columns(i=rows.gather(near["i"]), j=rows.gather(near["j"]))
    for i, j, score in named.iter_rows():
        if i not in fates and j not in fates:
            fates[j] = (i, score)
    return fates


def _sketched(
    frame: pl.DataFrame, threshold: float, shingle: int, *, n_perm: int, seed: int
) -> Fates:
    """The fates of texts of large groups.

    Some thousand texts at a time are looked up among those kept before them, so that a thousand
    variants of one text cost a thousand comparisons and not half a million.
    """
    frame = frame.sort("row")
    sets = _shingle_sets(frame["text"], shingle)
    sketches = Sketches(sets, frame["group"], threshold=threshold, n_perm=n_perm, seed=seed)
    positions = pl.Series(range(frame.height), dtype=pl.UInt32)
    fates: Fates = {}
    kept = sketches.bands.clear()
    for at in range(0, frame.height, _ASKED_AT_ONCE):
        asked = sketches.bands.filter(pl.col("at").is_between(at, at + _ASKED_AT_ONCE - 1))
        kept = pl.concat([kept, asked])
        new = _decided(_measured(sketches.pairs(kept, asked), sets, threshold), positions)
        kept = kept.filter(~pl.col("at").is_in(list(new)))
        fates |= new
    rows = frame["row"]
    return {rows[j]: (rows[i], score) for j, (i, score) in fates.items()}
